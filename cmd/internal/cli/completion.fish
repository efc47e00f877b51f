# fish completion for {{.Name}}
{{- $program := .Name}}
{{- range .Commands}}
complete -c {{$program}} -n __fish_use_subcommand -f -a {{.Name}} -d {{quote .Doc}}
{{- $when := seen $ .Name}}
{{- range flags .}}
complete -c {{$program}} -n '{{$when}}' -l {{.Name}}{{if not .NoOptDefVal}} -r{{end}} -d {{quote (usage .)}}
{{- end}}
{{- if .First}}
complete -c {{$program}} -n '__fish_seen_subcommand_from {{.Name}}; and test (count (commandline -opc)) -eq 2' -f -a {{quote (join .First " ")}}
{{- end}}
{{- end}}
{{- range .Builtin}}
complete -c {{$program}} -n __fish_use_subcommand -f -a {{.Name}} -d {{quote .Doc}}
{{- if .First}}
complete -c {{$program}} -n '__fish_seen_subcommand_from {{.Name}}; and test (count (commandline -opc)) -eq 2' -f -a {{quote (join .First " ")}}
{{- end}}
{{- end}}
