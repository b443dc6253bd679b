package secret_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/secret"
)

// random returns text with the look of a generated token. Tokens are put together here, so that no scanner
// takes this file for a leak.
func random(n int) string {
	return strings.Repeat("k7Qz2Xw9Lr4Tb8Vn3Md6Hs5Yc1Pf0Jg", n/31+1)[:n]
}

func TestScanFinds(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		file, content, rule string
	}{
		"private key":         {"k.pem", "-----BEGIN " + "RSA PRIVATE KEY-----", "private-key"},
		"plain private key":   {"k.json", `{"key": "-----BEGIN ` + `PRIVATE KEY-----\n"}`, "private-key"},
		"AWS key id":          {"a.sql", "-- AKIA" + "ABCDEFGHIJKLMNOP", "aws-access-key-id"},
		"AWS secret":          {"a.py", `aws_secret_access_key = "` + random(40) + `"`, "aws-secret-access-key"},
		"GitHub token":        {"a.sh", "TOKEN=ghp_" + random(36), "github-token"},
		"GitHub PAT":          {"a.sh", "x github_pat_" + random(82), "github-token"},
		"GitLab token":        {"a.sh", "glpat-" + random(20), "gitlab-token"},
		"Slack token":         {"a.py", "xoxb-" + random(24), "slack-token"},
		"Slack webhook":       {"a.yaml", "url: https://hooks.slack.com/services/" + random(44), "slack-webhook"},
		"Google key":          {"a.js", "AIza" + random(35), "google-api-key"},
		"Google secret":       {"a.js", "GOCSPX-" + random(28), "google-oauth-secret"},
		"Stripe key":          {"a.py", "sk_live_" + random(24), "stripe-key"},
		"SendGrid key":        {"a.py", "SG." + random(22) + "." + random(43), "sendgrid-key"},
		"npm token":           {".npmrc", "npm_" + random(36), "npm-token"},
		"PyPI token":          {"a.cfg", "pypi-AgE" + random(60), "pypi-token"},
		"Azure key":           {"a.py", "AccountKey=" + random(86) + "==", "azure-storage-key"},
		"Databricks token":    {"a.py", "dapi" + strings.Repeat("0a1b2c3d", 4), "databricks-token"},
		"Vault token":         {"a.py", "hvs." + random(24), "vault-token"},
		"LLM key":             {"a.py", "sk-proj-" + random(48), "llm-api-key"},
		"JWT":                 {"a.txt", "eyJ" + random(20) + ".eyJ" + random(20) + "." + random(30), "jwt"},
		"URL":                 {"a.yaml", "warehouse: postgres://etl:hunter2@db/w", "password-in-url"},
		"URL in code":         {"a.py", `connect("postgresql://etl:hunter2@db/w")`, "password-in-url"},
		"CREATE ROLE":         {"a.sql", "CREATE ROLE etl LOGIN PASSWORD 'hunter2'", "password-in-sql"},
		"USER MAPPING":        {"a.sql", "OPTIONS (user 'etl', password 'hunter2')", "password-in-sql"},
		"dblink":              {"a.sql", "SELECT * FROM dblink('host=db password=hunter2 user=x', 'SELECT 1')", "password-in-dsn"},
		"quoted password":     {"a.py", `db_password = "correct horse"`, "password-literal"},
		"JSON password":       {"a.json", `{"password": "hunter2"}`, "password-literal"},
		"YAML password":       {"a.yaml", "password: hunter2hunter2", "password-literal"},
		"quoted token":        {"a.py", `api_key = "` + random(24) + `"`, "secret-literal"},
		"hexadecimal token":   {"a.py", `token = '9f86d081884c7d659a2feaa0c55ad015'`, "secret-literal"},
		"token in YAML":       {"a.yml", "api_token: " + random(24), "secret-literal"},
		"token in properties": {"a.properties", "client.secret=" + random(24), "secret-literal"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			findings := secret.Scan(map[string][]byte{tt.file: []byte("line one\n" + tt.content + "\n")})
			require.Len(t, findings, 1)
			require.Equal(t, tt.rule, findings[0].Rule)
			require.Equal(t, tt.file, findings[0].Path)
			require.Equal(t, 2, findings[0].Line)
		})
	}
}

func TestScanLeavesAlone(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ file, content string }{
		"references": {"config.prod.yaml", `warehouse: postgres://etl:${env:DRAWBRIDGE_SECRET_PW}@db/w
source_db: postgres://etl:${file:/run/secrets/pw}@db/w
password: ${env:DRAWBRIDGE_SECRET_PW}
api_key: "${file:/run/secrets/api_key}"`},
		"SQL": {"sql/users.sql", `SELECT u.password, t.token, s.secret AS client_secret
FROM users u JOIN tokens t ON t.token = u.session_token_2024_identifier
WHERE password_hash = crypt(@password, password_hash) AND token = 'web' AND user=u.user AND password=u.password AND u.access_key = stg.access_key_v2_2024`},
		"SQL password from a parameter": {"sql/role.sql", "ALTER ROLE etl PASSWORD '${env:DRAWBRIDGE_SECRET_PW}'"},
		"CSV": {"tests/users.csv", `id,email,token,password_changed_at,url
1,a@example.com,abc123,2024-01-01 10:00:00+00,https://shop.example.com:8080/p?u=x@y
2,b@example.com,def456,2024-01-02 10:00:00+00,http://example.com/`},
		"UUIDs":         {"tests/rows.yaml", "- {token: 123e4567-e89b-12d3-a456-426614174000, id: 123e4567-e89b-12d3-a456-426614174000}"},
		"digests":       {"contract.yaml", "secret: sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\nrelease: sha256:9f86d081884c7d659a2feaa0c55ad015"},
		"column types":  {"contract.yaml", "password: varchar\ntoken: character_varying_255_nullable\nsecret:\n  type: text\n"},
		"checks":        {"pipeline.yaml", "checks:\n  - not_null: [password, token]\n  - accepted_values: {column: token, values: [a, b]}"},
		"stand-ins":     {"README.yaml", "password: <your password>\npassword: xxxxxxxx\npasswd: ********\npostgres://etl:your-password@db/w"},
		"code":          {"etl.py", "password = os.environ['DB_PASSWORD']\ntoken = get_token(client_id_2024, realm_name)\n"},
		"ports":         {"a.yaml", "url: https://registry.example.com:4873/@scope/package"},
		"package names": {"a.txt", "desk-lamp-and-other-furniture-of-the-year-2024 task-queue-name"},
		"public key":    {"k.pem", "-----BEGIN PUBLIC KEY-----"},
		"empty":         {"empty.sql", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Empty(t, secret.Scan(map[string][]byte{tt.file: []byte(tt.content)}))
		})
	}
}

func TestScanSaysWhereAndNotWhat(t *testing.T) {
	t.Parallel()
	findings := secret.Scan(map[string][]byte{
		"b.sql": []byte("-- é AKIA" + "ABCDEFGHIJKLMNOP"),
		"a.py":  []byte("ok\n\nx = 1; password = 'hunter2!'; token='ghp_" + random(36) + "'\n"),
	})
	require.Equal(t, []secret.Finding{
		{Path: "a.py", Line: 3, Column: 20, Rule: "password-literal"},
		{Path: "a.py", Line: 3, Column: 38, Rule: "github-token"},
		{Path: "b.sql", Line: 1, Column: 6, Rule: "aws-access-key-id"},
	}, findings)
	require.Equal(t, "a.py:3:20: password-literal", findings[0].String())
	shown, err := json.Marshal(findings)
	require.NoError(t, err)
	require.NotContains(t, string(shown), "hunter2")
}
