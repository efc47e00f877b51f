# fish completion for {{.Name}}
{{- $program := .Name}}
{{- range .Commands}}
complete -c {{$program}} -n __fish_use_subcommand -f -a {{.Name}} -d {{quote .Doc}}
{{- $command := .Name}}
{{- range flags .}}
complete -c {{$program}} -n '__fish_seen_subcommand_from {{$command}}' -l {{.Name}}{{if not .NoOptDefVal}} -r{{end}} -d {{quote .Usage}}
{{- end}}
{{- end}}
