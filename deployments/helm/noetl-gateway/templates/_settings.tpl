{{/*
The settings of a service that are no secrets, name to text. A setting that is empty is left out: the program has its
own default. Names that the chart sets may not be in `settings` too: which of the two would win nobody should have to know.
*/}}
{{- define "noetl-gateway.settings" -}}
{{- $v := .root.Values }}
{{- $svc := include "noetl-gateway.service" . | fromYaml }}
{{- $fullname := include "noetl-gateway.fullname" .root }}
{{- $set := dict
  "LOG_FORMAT" $v.log.format
  "LOG_LEVEL" $v.log.level
  "NATS_URL" $v.nats.url
  "GATEWAY_NATS_REPLICAS" $v.nats.replicas
  "GATEWAY_ADMIN_PORT" 9090
  "GATEWAY_ADMIN_BIND" $v.bindAddress
  "GATEWAY_DRAIN_DELAY_SECS" $v.shutdown.drainDelaySeconds
  "OTEL_EXPORTER_OTLP_ENDPOINT" $v.telemetry.otlpEndpoint
}}
{{- if $v.telemetry.otlpEndpoint }}
{{- $_ := mergeOverwrite $set (dict
  "OTEL_EXPORTER_OTLP_PROTOCOL" $v.telemetry.otlpProtocol
  "OTEL_TRACES_SAMPLER" $v.telemetry.sampler
  "OTEL_TRACES_SAMPLER_ARG" $v.telemetry.samplerArg
  "OTEL_RESOURCE_ATTRIBUTES" $v.telemetry.resourceAttributes
) }}
{{- end }}
{{- if eq $v.nats.auth.method "password" }}{{ $_ := set $set "NATS_USERNAME" $svc.nats.user }}{{ end }}
{{- if eq $v.nats.auth.method "creds" }}{{ $_ := set $set "NATS_CREDS" "/etc/noetl-gateway/nats/nats.creds" }}{{ end }}
{{- if ne .name "event-fanout" }}
{{- $_ := mergeOverwrite $set (dict
  "NOETL_BASE_URL" $v.noetl.baseUrl
  "NOETL_TIMEOUT_SECS" $v.noetl.timeoutSeconds
  "GATEWAY_SHARDS" (join "," $v.noetl.shards)
) }}
{{- end }}
{{- if or (eq .name "auth") (eq .name "edge-proxy") }}
{{- $_ := mergeOverwrite $set (dict
  "GATEWAY_CALLBACK_URL" (include "noetl-gateway.callbackUrl" .root)
  "AUTH_ISSUERS" (join "," $v.auth.issuers)
  "GATEWAY_AUTH0_DOMAIN" $v.auth.auth0.domain
  "GATEWAY_AUTH0_CLIENT_ID" $v.auth.auth0.clientId
  "GATEWAY_AUTH0_REDIRECT_URI" $v.auth.auth0.redirectUri
  "GATEWAY_AUTH0_AUDIENCE" $v.auth.auth0.audience
  "GATEWAY_MCP_RESOURCE" (join "," $v.mcp.resource)
  "AUTH_PLAYBOOK_LOGIN" $v.auth.playbooks.login
  "AUTH_PLAYBOOK_VALIDATE_SESSION" $v.auth.playbooks.validateSession
  "AUTH_PLAYBOOK_CHECK_ACCESS" $v.auth.playbooks.checkAccess
) }}
{{- end }}
{{- if ne .name "ingress" }}{{ $_ := set $set "GATEWAY_PUBLIC_URL" $v.publicUrl }}{{ end }}
{{- if or (eq .name "edge-proxy") (eq .name "event-fanout") }}
{{- /* Unset would mean the program's default, which lets pages of localhost call with cookies. */}}
{{- $_ := set $set "CORS_ALLOWED_ORIGINS" (join "," ($v.cors.allowedOrigins | default (list (trimSuffix "/" $v.publicUrl)))) }}
{{- $_ := set $set "CORS_ALLOW_CREDENTIALS" $v.cors.allowCredentials }}
{{- end }}
{{- if ne .name "auth" }}
{{- $_ := mergeOverwrite $set (dict "GATEWAY_BIND" $v.bindAddress "GATEWAY_TRUSTED_PROXIES" (join "," $svc.trustedProxies)) }}
{{- end }}
{{- if eq .name "auth" }}
{{- $_ := mergeOverwrite $set (dict
  "AUTH_BACKEND" $v.auth.backend
  "AUTH_AUDIENCES" (join "," $v.auth.audiences)
  "AUTH_CLIENT_ID" $v.auth.clientId
) }}
{{- if eq $v.auth.backend "local" }}{{ $_ := set $set "AUTH_POLICY_FILE" "/etc/noetl-gateway/policy/policy.yaml" }}{{ end }}
{{- else if eq .name "edge-proxy" }}
{{- $_ := mergeOverwrite $set (dict
  "GATEWAY_PORT" 8090
  "GATEWAY_OPERATOR_PORT" 8094
  "GATEWAY_OPERATOR_BIND" $v.bindAddress
  "GATEWAY_EVENTS_URL" (printf "http://%s-event-fanout:8092" $fullname)
  "GATEWAY_INGRESS_URL" (printf "http://%s-ingress:8093" $fullname)
  "GATEWAY_ENFORCE_ACCESS" $v.auth.enforceAccess
  "GATEWAY_EXPOSE_INTERNAL" $v.callbacks.exposePublicly
  "GATEWAY_MCP" (ternary "on" "" $v.mcp.enabled)
  "GATEWAY_MCP_TOOLS" (join "," $v.mcp.tools)
  "GATEWAY_MCP_READ_SCOPE" $v.mcp.readScope
  "GATEWAY_MCP_EXECUTE_SCOPE" $v.mcp.executeScope
  "GATEWAY_MCP_SCOPE_PREFIX" $v.mcp.scopePrefix
  "GATEWAY_MCP_ON_LEAVE" $v.mcp.onLeave
) }}
{{- if $v.edgeTls.existingSecret }}
{{- $_ := mergeOverwrite $set (dict "GATEWAY_TLS_CERT_FILE" "/etc/noetl-gateway/tls/tls.crt" "GATEWAY_TLS_KEY_FILE" "/etc/noetl-gateway/tls/tls.key") }}
{{- end }}
{{- else if eq .name "event-fanout" }}
{{- $_ := mergeOverwrite $set (dict "GATEWAY_PORT" 8092 "GATEWAY_INTERNAL_PORT" 8091 "GATEWAY_INTERNAL_BIND" $v.bindAddress) }}
{{- $_ := mergeOverwrite $set (dict
  "GATEWAY_SUBSCRIPTION_PATHS" (join "," $v.subscriptions.paths)
  "GATEWAY_SUBSCRIPTION_KV_BUCKET" $v.subscriptions.kvBucket
  "GATEWAY_FIRESTORE_PROJECT_ID" $v.subscriptions.firestore.projectId
  "GATEWAY_FIRESTORE_DATABASE" $v.subscriptions.firestore.database
) }}
{{- if $v.subscriptions.firestore.existingSecret }}
{{- $_ := set $set "GATEWAY_FIRESTORE_CREDENTIALS_PATH" "/var/run/secrets/firestore/service-account.json" }}
{{- end }}
{{- else }}
{{- $_ := set $set "GATEWAY_PORT" 8093 }}
{{- if or $v.listeners.files $v.listeners.existingConfigMap }}{{ $_ := set $set "INGRESS_LISTENERS_FILE" "/etc/noetl-gateway/listeners" }}{{ end }}
{{- end }}
{{- $own := merge (dict) $svc.settings $v.settings }}
{{- $secrets := include "noetl-gateway.secretSettings" .root | fromJsonArray }}
{{- range $key, $value := $own }}
{{- if has $key $secrets }}{{ fail (printf "settings: %s is a secret: name a Secret that holds it, with existingSecret or extraEnv and valueFrom" $key) }}{{ end }}
{{- if hasKey $set $key }}{{ fail (printf "settings: the chart sets %s of %s from a value of its own: use that one (README.md)" $key $.name) }}{{ end }}
{{- end }}
{{- $result := dict }}
{{- range $key, $value := merge $set $own }}
{{- /* %v would write large whole numbers as 1e+06: a number in values is a float. */}}
{{- $text := ternary (toJson $value) (toString $value) (or (kindIs "float64" $value) (kindIs "int64" $value) (kindIs "int" $value)) }}
{{- if ne $text "" }}{{ $_ := set $result $key $text }}{{ end }}
{{- end }}
{{- toYaml $result }}
{{- end }}

{{/* The settings of a service that are secrets, each by reference. */}}
{{- define "noetl-gateway.secretEnv" -}}
{{- $v := .root.Values }}
{{- $svc := include "noetl-gateway.service" . | fromYaml }}
{{- $refs := list }}
{{- if eq $v.nats.auth.method "password" }}
{{- $refs = append $refs (list "NATS_PASSWORD" ($svc.nats.existingSecret | default $v.nats.auth.existingSecret) ($svc.nats.key | default .name)) }}
{{- end }}
{{- if eq .name "ingress" }}
{{- $refs = append $refs (list "NOETL_INTERNAL_API_TOKEN" $v.noetl.internalToken.existingSecret $v.noetl.internalToken.key) }}
{{- else if eq .name "event-fanout" }}
{{- $refs = append $refs (list "GATEWAY_INTERNAL_TOKEN" $v.callbacks.internalToken.existingSecret $v.callbacks.internalToken.key) }}
{{- else if eq .name "auth" }}
{{- $refs = append $refs (list "AUTH_CLIENT_SECRET" $v.auth.clientSecret.existingSecret $v.auth.clientSecret.key) }}
{{- end }}
{{- if $v.telemetry.otlpEndpoint }}
{{- $refs = append $refs (list "OTEL_EXPORTER_OTLP_HEADERS" $v.telemetry.headers.existingSecret $v.telemetry.headers.key) }}
{{- end }}
{{- range $refs }}
{{- if index . 1 }}
- name: {{ index . 0 }}
  valueFrom:
    secretKeyRef:
      name: {{ index . 1 }}
      key: {{ index . 2 }}
{{- end }}
{{- end }}
{{- end }}

{{/* extraEnv, without secrets in clear text. */}}
{{- define "noetl-gateway.extraEnv" -}}
{{- $svc := include "noetl-gateway.service" . | fromYaml }}
{{- $secrets := include "noetl-gateway.secretSettings" .root | fromJsonArray }}
{{- range $svc.extraEnv }}
{{- if and (has .name $secrets) (hasKey . "value") }}{{ fail (printf "extraEnv: %s is a secret: use valueFrom.secretKeyRef in place of value" .name) }}{{ end }}
{{- if and (eq .name "NATS_URL") (contains "@" (toString .value)) }}{{ fail "extraEnv: NATS_URL holds credentials: use nats.auth" }}{{ end }}
{{- end }}
{{- with $svc.extraEnv }}{{ toYaml . }}{{ end }}
{{- end }}

{{/* Values that only together make sense, and that the programs would refuse at start. */}}
{{- define "noetl-gateway.validate" -}}
{{- $v := .Values }}
{{- if contains "@" $v.nats.url }}{{ fail "nats.url holds credentials: they belong into a Secret, nats.auth.existingSecret" }}{{ end }}
{{- if not (or $v.auth.issuers $v.auth.auth0.domain) }}{{ fail "auth.issuers (or auth.auth0.domain) is required: whose tokens are accepted?" }}{{ end }}
{{- if not (or $v.auth.audiences $v.auth.clientId $v.auth.auth0.audience $v.auth.auth0.clientId) }}{{ fail "auth.audiences (or a client id) is required: without it a token for any other application would log in" }}{{ end }}
{{- if and $v.auth.clientSecret.existingSecret (not (or $v.auth.clientId $v.auth.auth0.clientId)) }}{{ fail "auth.clientSecret without auth.clientId" }}{{ end }}
{{- if and (eq $v.auth.backend "local") (not $v.auth.local.policy) (not $v.auth.local.existingConfigMap) }}{{ fail "auth.local.policy or auth.local.existingConfigMap is required for the backend local" }}{{ end }}
{{- if ne $v.nats.auth.method "none" }}
{{- range $name := include "noetl-gateway.services" . | fromJsonArray }}
{{- if not (or $v.nats.auth.existingSecret (index $v.services $name).nats.existingSecret) }}{{ fail (printf "nats.auth.existingSecret is required for nats.auth.method %s (or services.%s.nats.existingSecret)" $v.nats.auth.method $name) }}{{ end }}
{{- end }}
{{- end }}
{{- if and $v.networkPolicy.enabled (kindIs "invalid" $v.networkPolicy.workers.from) }}{{ fail "networkPolicy.workers.from is required: which pods are NoETL's workers? Nobody else may report results. An empty list means nobody; networkPolicy.enabled=false means no policies" }}{{ end }}
{{- if and $v.subscriptions.firestore.existingSecret (not $v.subscriptions.firestore.projectId) }}{{ fail "subscriptions.firestore.projectId is required: of which project is the service account in subscriptions.firestore.existingSecret?" }}{{ end }}
{{- if and $v.gatewayApi.enabled (not $v.gatewayApi.parentRefs) }}{{ fail "gatewayApi.parentRefs is required: which Gateway?" }}{{ end }}
{{- if and $v.prometheusRule.enabled (not $v.prometheusRule.rules) }}{{ fail "prometheusRule.rules is required: give a rules file with --set-file" }}{{ end }}
{{- if and (has "*" $v.cors.allowedOrigins) $v.cors.allowCredentials }}{{ fail "cors.allowedOrigins * with cors.allowCredentials would let any web page act for a logged-in user" }}{{ end }}
{{- if and $v.callbacks.exposePublicly (hasPrefix (printf "%s/" (trimSuffix "/" $v.publicUrl)) (printf "%s/" (include "noetl-gateway.callbackUrl" .))) }}{{ fail "callbacks.url must not be publicUrl: edge-proxy would forward callbacks to itself" }}{{ end }}
{{- end }}
