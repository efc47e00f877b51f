#compdef {{.Name}}
# zsh completion for {{.Name}}
_{{.Name}}() {
	local -a commands
	commands=(
{{- range .Commands}}
		{{printf "%s:%s" .Name (colon .Doc) | quote}}
{{- end}}
{{- range .Builtin}}
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
			{{printf "*--%s[%s]%s" .Name (bracket (usage .)) (value .) | quote}}{{end}} \
			{{if .First}}1:subcommand: '2:argument:({{join .First " "}})' {{end}}'*:file:_files'
		;;
{{- end}}
{{- range .Builtin}}{{if .First}}
	{{.Name}}) _arguments 1:subcommand: '2:argument:({{join .First " "}})' ;;
{{- end}}{{end}}
	esac
}
# As a file of fpath it is the function itself; sourced it only defines one.
if [[ $funcstack[1] == _{{.Name}} ]]; then
	_{{.Name}} "$@"
else
	compdef _{{.Name}} {{.Name}}
fi
