{{/* Name of the chart's objects in labels. */}}
{{- define "realtime-operator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* Prefix of the names of all objects. At most 50 characters: "-metrics" and other suffixes follow. */}}
{{- define "realtime-operator.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "realtime-operator.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "realtime-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "realtime-operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end -}}

{{- define "realtime-operator.labels" -}}
{{ include "realtime-operator.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "realtime-operator.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "realtime-operator.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* Full reference of an image. Takes a dict: image (repository, tag, digest), tag (the default one). */}}
{{- define "realtime-operator.image" -}}
{{- if .image.digest -}}
{{- printf "%s@%s" .image.repository .image.digest -}}
{{- else -}}
{{- printf "%s:%s" .image.repository (default .tag .image.tag) -}}
{{- end -}}
{{- end -}}

{{/* Names of the image pull secrets, separated by commas. */}}
{{- define "realtime-operator.pullSecretNames" -}}
{{- $names := list -}}
{{- range .Values.imagePullSecrets -}}{{- $names = append $names .name -}}{{- end -}}
{{- join "," $names -}}
{{- end -}}

{{/* Rules of one scope of files/permissions.yaml. Takes a dict: files, scope. */}}
{{- define "realtime-operator.rules" -}}
{{- $permissions := .files.Get "files/permissions.yaml" | fromYaml -}}
{{- if hasKey $permissions "Error" -}}{{- fail (get $permissions "Error") -}}{{- end -}}
{{- get $permissions .scope | toYaml -}}
{{- end -}}

{{/* Name of the webhook's Service, Secret and ValidatingWebhookConfiguration, which is of the whole cluster. */}}
{{- define "realtime-operator.webhookName" -}}
{{- printf "%s-webhook" (include "realtime-operator.fullname" .) -}}
{{- end -}}
