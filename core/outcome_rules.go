package core

// Where a limit is counted for each model, one model's limit leaves the account's others alone: scope model.
// 403 is no refused credential unless its code says so: many a client can provoke it by what it asks for.

// providerNames are other names under which providers go.
var providerNames = map[string]string{
	"claude": "anthropic",
	"gemini": "google", "vertex": "google", "vertex_ai": "google", "vertexai": "google", "google_ai": "google",
	"azure_openai": "azure", "azure-openai": "azure", "azureopenai": "azure",
	"aws": "bedrock", "aws_bedrock": "bedrock", "aws-bedrock": "bedrock", "amazon_bedrock": "bedrock",
}

// anyRules hold for every provider: the statuses of RFC 9110 and their customary use, and the codes
// that OpenAI-compatible APIs share ("Error codes" of the OpenAI API guide).
var anyRules = []OutcomeRule{
	{Status: 1, Outcome: OutcomeAccountError},
	{Status: 2, Outcome: OutcomeSuccess},
	{Status: 3, Outcome: OutcomeAccountError},
	{Status: 4, Outcome: OutcomeClientError},
	{Status: 5, Outcome: OutcomeAccountError},
	{Status: 401, Outcome: OutcomeAuthFailed},
	{Status: 402, Outcome: OutcomeQuotaExhausted},
	{Status: 403, Outcome: OutcomeAccountError},
	{Status: 407, Outcome: OutcomeAccountError},
	{Status: 408, Outcome: OutcomeUpstreamTimeout},
	{Status: 424, Outcome: OutcomeAccountError},
	{Status: 429, Outcome: OutcomeRateLimited},
	{Status: 499, Outcome: OutcomeCancelled}, // nginx: the client closed the request
	{Status: 503, Outcome: OutcomeOverloaded},
	{Status: 504, Outcome: OutcomeUpstreamTimeout},
	{Status: 522, Outcome: OutcomeUpstreamTimeout}, // Cloudflare: no connection in time
	{Status: 524, Outcome: OutcomeUpstreamTimeout}, // Cloudflare: no answer in time
	{Status: 529, Outcome: OutcomeOverloaded},

	{Code: "invalid_api_key", Outcome: OutcomeAuthFailed},
	{Code: "account_deactivated", Outcome: OutcomeAuthFailed},
	{Code: "insufficient_quota", Outcome: OutcomeQuotaExhausted},
	{Code: "billing_hard_limit_reached", Outcome: OutcomeQuotaExhausted},
	{Code: "billing_not_active", Outcome: OutcomeQuotaExhausted},
	{Code: "rate_limit_exceeded", Outcome: OutcomeRateLimited},
	{Code: "context_length_exceeded", Outcome: OutcomeClientError},
	{Code: "content_filter", Outcome: OutcomeClientError},
	{Code: "invalid_request_error", Outcome: OutcomeClientError},
	{Code: "model_not_found", Outcome: OutcomeClientError},
	{Code: "server_error", Outcome: OutcomeAccountError},
}

// openAIRules: "Error codes" and "Rate limits" of the OpenAI API guide, the error codes of a response object in
// its reference, and the usage limits of ChatGPT plans as the Codex client knows them.
var openAIRules = []OutcomeRule{
	{Provider: "openai", Status: 429, Outcome: OutcomeRateLimited, Scope: ScopeModel},
	{Provider: "openai", Code: "rate_limit_exceeded", Outcome: OutcomeRateLimited, Scope: ScopeModel},
	{Provider: "openai", Code: "usage_limit_reached", Outcome: OutcomeQuotaExhausted},
	{Provider: "openai", Code: "token_expired", Outcome: OutcomeAuthFailed},
	{Provider: "openai", Code: "slow_down", Outcome: OutcomeOverloaded, Scope: ScopeModel},
	{Provider: "openai", Code: "server_is_overloaded", Outcome: OutcomeOverloaded, Scope: ScopeModel},
	{Provider: "openai", Code: "vector_store_timeout", Outcome: OutcomeUpstreamTimeout},
	{Provider: "openai", Code: "invalid_prompt", Outcome: OutcomeClientError},
	{Provider: "openai", Code: "content_policy_violation", Outcome: OutcomeClientError},
	{Provider: "openai", Code: "previous_response_not_found", Outcome: OutcomeClientError},
	{Provider: "openai", Code: "unsupported_country_region_territory", Outcome: OutcomeAccountError},
}

// anthropicRules: "Errors" and "Rate limits" of the Claude API documentation.
var anthropicRules = []OutcomeRule{
	{Provider: "anthropic", Status: 429, Outcome: OutcomeRateLimited, Scope: ScopeModel},
	{Provider: "anthropic", Code: "authentication_error", Outcome: OutcomeAuthFailed},
	{Provider: "anthropic", Code: "billing_error", Outcome: OutcomeQuotaExhausted},
	{Provider: "anthropic", Code: "enforced_spend_limit_reached", Outcome: OutcomeQuotaExhausted},
	{Provider: "anthropic", Code: "permission_error", Outcome: OutcomeAccountError},
	{Provider: "anthropic", Code: "not_found_error", Outcome: OutcomeClientError},
	{Provider: "anthropic", Code: "request_too_large", Outcome: OutcomeClientError},
	{Provider: "anthropic", Code: "rate_limit_error", Outcome: OutcomeRateLimited, Scope: ScopeModel},
	{Provider: "anthropic", Code: "api_error", Outcome: OutcomeAccountError},
	{Provider: "anthropic", Code: "timeout_error", Outcome: OutcomeUpstreamTimeout},
	{Provider: "anthropic", Code: "overloaded_error", Outcome: OutcomeOverloaded},
}

// googleRules: "Troubleshooting" and "Rate limits" of the Gemini API, the canonical codes of google.rpc.Code and
// the reasons of google.api.ErrorReason.
var googleRules = []OutcomeRule{
	{Provider: "google", Status: 429, Outcome: OutcomeRateLimited, Scope: ScopeModel},
	{Provider: "google", Status: 503, Outcome: OutcomeOverloaded, Scope: ScopeModel},
	{Provider: "google", Code: "invalid_argument", Outcome: OutcomeClientError},
	{Provider: "google", Code: "out_of_range", Outcome: OutcomeClientError},
	{Provider: "google", Code: "not_found", Outcome: OutcomeClientError},
	{Provider: "google", Code: "failed_precondition", Outcome: OutcomeAccountError}, // no free tier where the project is
	{Provider: "google", Code: "permission_denied", Outcome: OutcomeAccountError},
	{Provider: "google", Code: "unauthenticated", Outcome: OutcomeAuthFailed},
	{Provider: "google", Code: "api_key_invalid", Outcome: OutcomeAuthFailed}, // comes with 400
	{Provider: "google", Code: "api_key_service_blocked", Outcome: OutcomeAuthFailed},
	{Provider: "google", Code: "access_token_expired", Outcome: OutcomeAuthFailed},
	{Provider: "google", Code: "credentials_missing", Outcome: OutcomeAuthFailed},
	{Provider: "google", Code: "consumer_suspended", Outcome: OutcomeAuthFailed},
	{Provider: "google", Code: "service_disabled", Outcome: OutcomeAuthFailed},
	{Provider: "google", Code: "billing_disabled", Outcome: OutcomeQuotaExhausted},
	{Provider: "google", Code: "resource_exhausted", Outcome: OutcomeRateLimited, Scope: ScopeModel},
	{Provider: "google", Code: "rate_limit_exceeded", Outcome: OutcomeRateLimited, Scope: ScopeModel},
	{Provider: "google", Code: "internal", Outcome: OutcomeAccountError},
	{Provider: "google", Code: "unavailable", Outcome: OutcomeOverloaded, Scope: ScopeModel},
	{Provider: "google", Code: "deadline_exceeded", Outcome: OutcomeUpstreamTimeout},
	{Provider: "google", Code: "cancelled", Outcome: OutcomeCancelled},
}

// azureRules: "Azure OpenAI quotas and limits", "Provisioned throughput" and the REST API's error codes; a
// deployment, which is what limits are counted for, is a model here.
var azureRules = []OutcomeRule{
	{Provider: "azure", Status: 429, Outcome: OutcomeRateLimited, Scope: ScopeModel},
	{Provider: "azure", Status: 503, Outcome: OutcomeOverloaded, Scope: ScopeModel},
	{Provider: "azure", Code: "ratelimitreached", Outcome: OutcomeRateLimited, Scope: ScopeModel},
	{Provider: "azure", Code: "toomanyrequests", Outcome: OutcomeRateLimited, Scope: ScopeModel},
	{Provider: "azure", Code: "nocapacity", Outcome: OutcomeOverloaded, Scope: ScopeModel},
	{Provider: "azure", Code: "insufficientquota", Outcome: OutcomeQuotaExhausted, Scope: ScopeModel},
	{Provider: "azure", Code: "accessdenied", Outcome: OutcomeAuthFailed},
	{Provider: "azure", Code: "invalidauthenticationtoken", Outcome: OutcomeAuthFailed},
	{Provider: "azure", Code: "deploymentnotfound", Outcome: OutcomeClientError},
	{Provider: "azure", Code: "responsibleaipolicyviolation", Outcome: OutcomeClientError},
	{Provider: "azure", Code: "internalservererror", Outcome: OutcomeAccountError},
	{Provider: "azure", Code: "serviceunavailable", Outcome: OutcomeOverloaded, Scope: ScopeModel},
	{Provider: "azure", Code: "timeout", Outcome: OutcomeUpstreamTimeout},
}

// bedrockRules: the errors of InvokeModel and Converse in the Amazon Bedrock API reference, "Troubleshooting Amazon
// Bedrock API error codes", and the common errors of AWS APIs.
var bedrockRules = []OutcomeRule{
	{Provider: "bedrock", Status: 429, Outcome: OutcomeRateLimited, Scope: ScopeModel},
	{Provider: "bedrock", Code: "throttlingexception", Outcome: OutcomeRateLimited, Scope: ScopeModel},
	{Provider: "bedrock", Code: "modelnotreadyexception", Outcome: OutcomeOverloaded, Scope: ScopeModel}, // comes with 429
	{Provider: "bedrock", Code: "servicequotaexceededexception", Outcome: OutcomeQuotaExhausted, Scope: ScopeModel},
	{Provider: "bedrock", Code: "serviceunavailableexception", Outcome: OutcomeOverloaded},
	{Provider: "bedrock", Code: "serviceunavailable", Outcome: OutcomeOverloaded},
	{Provider: "bedrock", Code: "internalserverexception", Outcome: OutcomeAccountError},
	{Provider: "bedrock", Code: "internalfailure", Outcome: OutcomeAccountError},
	{Provider: "bedrock", Code: "modelerrorexception", Outcome: OutcomeAccountError},
	{Provider: "bedrock", Code: "modelstreamerrorexception", Outcome: OutcomeAccountError},
	{Provider: "bedrock", Code: "modeltimeoutexception", Outcome: OutcomeUpstreamTimeout}, // comes with 408
	{Provider: "bedrock", Code: "validationexception", Outcome: OutcomeClientError},
	{Provider: "bedrock", Code: "validationerror", Outcome: OutcomeClientError},
	{Provider: "bedrock", Code: "resourcenotfoundexception", Outcome: OutcomeClientError},
	{Provider: "bedrock", Code: "accessdeniedexception", Outcome: OutcomeAccountError}, // no access to this model
	{Provider: "bedrock", Code: "unrecognizedclientexception", Outcome: OutcomeAuthFailed},
	{Provider: "bedrock", Code: "invalidclienttokenid", Outcome: OutcomeAuthFailed},
	{Provider: "bedrock", Code: "invalidsignatureexception", Outcome: OutcomeAuthFailed},
	{Provider: "bedrock", Code: "incompletesignature", Outcome: OutcomeAuthFailed},
	{Provider: "bedrock", Code: "missingauthenticationtoken", Outcome: OutcomeAuthFailed},
	{Provider: "bedrock", Code: "expiredtokenexception", Outcome: OutcomeAuthFailed},
	{Provider: "bedrock", Code: "requestexpired", Outcome: OutcomeAccountError},
}
