# bash completion for {{.Name}}
_{{.Name}}() {
	local word=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]} words=
	if [[ $COMP_CWORD -eq 1 && $word != -* ]]; then
		words="{{range .Commands}}{{.Name}} {{end}}{{range .Builtin}}{{.Name}} {{end}}"
	elif [[ $word == -* ]]; then
		[[ $command == -* ]] && command={{.Default}}
		case $command in
{{- range .Commands}}
		{{.Name}}) words="{{range flags .}}--{{.Name}} {{end}}" ;;
{{- end}}
		esac
	elif [[ $COMP_CWORD -eq 2 ]]; then
		case $command in
{{- range .Commands}}{{if .First}}
		{{.Name}}) words="{{join .First " "}}" ;;
{{- end}}{{end}}
{{- range .Builtin}}{{if .First}}
		{{.Name}}) words="{{join .First " "}}" ;;
{{- end}}{{end}}
		esac
	fi
	COMPREPLY=($(compgen -W "$words" -- "$word"))
}
complete -o default -F _{{.Name}} {{.Name}}
