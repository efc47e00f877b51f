#compdef {{.Name}}
# zsh completion for {{.Name}}
_{{.Name}}() {
	local -a commands
	commands=(
{{- range .Commands}}
		{{printf "%s:%s" .Name (colon .Doc) | quote}}
{{- end}}
	)
	if (( CURRENT == 2 )) && [[ $words[2] != -* ]]; then
		_describe subcommand commands
		return
	fi
	local command=$words[2]
	[[ $command == -* ]] && command={{.Default}}
	case $command in
{{- range .Commands}}
	{{.Name}})
		_arguments{{range flags .}} \
			{{printf "*--%s[%s]%s" .Name (bracket .Usage) (value .) | quote}}{{end}} \
			'*:file:_files'
		;;
{{- end}}
	help) _describe subcommand commands ;;
	esac
}
# As a file of fpath it is the function itself; sourced it only defines one.
if [[ $funcstack[1] == _{{.Name}} ]]; then
	_{{.Name}} "$@"
else
	compdef _{{.Name}} {{.Name}}
fi
