{{- define "portti.name" -}}
{{ .Release.Name | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "portti.secret" -}}
{{ .Values.admin.existingSecret | default (printf "%s-admin" (include "portti.name" .)) }}
{{- end }}

{{- define "portti.selector" -}}
app.kubernetes.io/name: portti
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "portti.labels" -}}
{{ include "portti.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}
