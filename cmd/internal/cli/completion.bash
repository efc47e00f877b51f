# bash completion for {{.Name}}
_{{.Name}}() {
	local word=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]} words=
	if [[ $COMP_CWORD -eq 1 && $word != -* ]]; then
		words="{{range .Commands}}{{.Name}} {{end}}help version completion"
	elif [[ $word == -* ]]; then
		[[ $command == -* ]] && command={{.Default}}
		case $command in
{{- range .Commands}}
		{{.Name}}) words="{{range flags .}}--{{.Name}} {{end}}" ;;
{{- end}}
		esac
	elif [[ $command == help ]]; then
		words="{{range .Commands}}{{.Name}} {{end}}"
	fi
	COMPREPLY=($(compgen -W "$words" -- "$word"))
}
complete -o default -F _{{.Name}} {{.Name}}
