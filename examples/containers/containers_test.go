// Package containers_test reads the Dockerfile and docker-compose.yml and holds them to what README.md says of them.
// Nothing here runs a container.
package containers_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"

	"drawbridge/internal/pipeline"
)

var root = filepath.Join("..", "..")

type compose struct {
	Services map[string]service   `yaml:"services"`
	Volumes  map[string]any       `yaml:"volumes"`
	Secrets  map[string]secretRef `yaml:"secrets"`
}

type service struct {
	Image       string                       `yaml:"image"`
	Build       *build                       `yaml:"build"`
	Entrypoint  []string                     `yaml:"entrypoint"`
	Command     []string                     `yaml:"command"`
	Environment map[string]string            `yaml:"environment"`
	Secrets     []string                     `yaml:"secrets"`
	Volumes     []string                     `yaml:"volumes"`
	Ports       []string                     `yaml:"ports"`
	DependsOn   map[string]map[string]string `yaml:"depends_on"`
	Healthcheck *struct {
		Test []string `yaml:"test"`
	} `yaml:"healthcheck"`
}

type build struct {
	Context string `yaml:"context"`
	Target  string `yaml:"target"`
}

type secretRef struct {
	File string `yaml:"file"`
}

func readCompose(t *testing.T) compose {
	t.Helper()
	body, err := os.ReadFile(filepath.Join(root, "docker-compose.yml"))
	require.NoError(t, err)
	var c compose
	require.NoError(t, yaml.Unmarshal(body, &c))
	require.NotEmpty(t, c.Services)
	return c
}

// flags returns the values of a flag in a command, as drawbridge-worker reads them.
func flags(command []string, name string) []string {
	var values []string
	for i, word := range command {
		if word == name && i+1 < len(command) {
			values = append(values, command[i+1])
		}
	}
	return values
}

func TestEveryEnvironmentHasOneWorkerAndTheWorkflowsHaveOne(t *testing.T) {
	t.Parallel()
	var environments, decide []string
	for name, s := range readCompose(t).Services {
		if s.Build == nil {
			continue
		}
		environments = append(environments, flags(s.Command, "--env")...)
		if slices.Contains(s.Command, "--workflows") {
			decide = append(decide, name)
			require.Equal(t, []string{"signing_key_workflows", "trusted_keys"}, s.Secrets, "%s decides and holds no credentials", name)
		}
	}
	require.ElementsMatch(t, []string{"dev", "staging", "prod"}, environments)
	require.Len(t, decide, 1)
}

func TestAWorkerHoldsOnlyTheSecretsOfItsEnvironment(t *testing.T) {
	t.Parallel()
	for name, s := range readCompose(t).Services {
		for _, env := range flags(s.Command, "--env") {
			require.ElementsMatch(t, []string{"signing_key_" + env, "trusted_keys", "runner_" + env, "author_" + env}, s.Secrets, name)
			require.NotContains(t, s.Environment, "DRAWBRIDGE_WAREHOUSE", "the policy of %s says where its warehouse is", env)
		}
	}
}

func TestAPolicyTakesTheSecretsOfItsWorker(t *testing.T) {
	t.Parallel()
	c := readCompose(t)
	for _, env := range []string{"dev", "staging", "prod"} {
		file := filepath.Join("policies", "policy."+env+".yaml")
		body, err := os.ReadFile(file)
		require.NoError(t, err)
		policy, err := pipeline.ParsePolicy(file, body)
		require.NoError(t, err)
		usual, err := os.ReadFile(filepath.Join("..", "policies", "policy."+env+".yaml"))
		require.NoError(t, err)
		require.True(t, strings.HasPrefix(string(body), string(usual)), "the rules of %s differ from those of the demo", env)
		config, err := os.ReadFile(filepath.Join("..", "shop", "config."+env+".yaml"))
		require.NoError(t, err)
		shop, err := pipeline.ParseConfig("config."+env+".yaml", config)
		require.NoError(t, err)
		name, err := policy.ConnectionName(shop)
		require.NoError(t, err, "the shop's config of %s", env)
		connection := policy.Connections[name]
		require.Equal(t, []string{shop.WarehouseSchema}, connection.Schemas.Write)
		for login, reference := range map[string]string{shop.WarehouseSchema + "_runner": connection.Password, shop.WarehouseSchema + "_author": connection.Author.Password} {
			secret := strings.TrimSuffix(strings.TrimPrefix(reference, "${file:/run/secrets/"), "}")
			require.Contains(t, c.Services["worker-"+env].Secrets, secret)
			require.True(t, strings.Contains(connection.URL, "//"+login+"@") || connection.Author.User == login)
		}
	}
}

func TestWhatAServiceNamesIsThere(t *testing.T) {
	t.Parallel()
	c := readCompose(t)
	stages := stages(t)
	for name, s := range c.Services {
		for other := range s.DependsOn {
			require.Contains(t, c.Services, other, name)
			require.NotNil(t, c.Services[other].Healthcheck, "%s waits for the health of %s", name, other)
			require.Equal(t, "service_healthy", s.DependsOn[other]["condition"])
		}
		for _, secret := range s.Secrets {
			require.Contains(t, c.Secrets, secret, name)
		}
		for _, path := range regexp.MustCompile(`/run/secrets/\w+`).FindAllString(strings.Join(values(s), " "), -1) {
			require.Contains(t, s.Secrets, strings.TrimPrefix(path, "/run/secrets/"), name)
		}
		for _, volume := range s.Volumes {
			source, _, _ := strings.Cut(volume, ":")
			if strings.HasPrefix(source, ".") {
				require.DirExists(t, filepath.Join(root, source), name)
			} else {
				require.Contains(t, c.Volumes, source, name)
			}
		}
		if s.Build != nil {
			require.Contains(t, stages, s.Build.Target, name)
		}
		for _, variable := range []string{"TEMPORAL_ADDRESS", "POSTGRES_SEEDS", "DRAWBRIDGE_STORE"} {
			if address, ok := s.Environment[variable]; ok {
				host := regexp.MustCompile(`^(?:https?://)?([\w-]+)`).FindStringSubmatch(address)
				require.Contains(t, c.Services, host[1], "%s of %s", variable, name)
			}
		}
	}
	for name, secret := range c.Secrets {
		require.True(t, strings.HasPrefix(secret.File, "./examples/containers/secrets/"), name)
	}
}

// values are all the texts of a service in which a secret could stand or be named.
func values(s service) []string {
	all := slices.Concat(s.Entrypoint, s.Command)
	for _, v := range s.Environment {
		all = append(all, v)
	}
	return all
}

func TestNoPasswordStandsInTheFile(t *testing.T) {
	t.Parallel()
	confidential := regexp.MustCompile(`(?i)(password|passwd|pwd|token|secret_key)`)
	withPassword := regexp.MustCompile(`://[^/@\s]*:[^/@\s]*@|[?&](ssl)?password=`)
	for name, s := range readCompose(t).Services {
		for key, value := range s.Environment {
			if confidential.MatchString(key) {
				require.True(t, strings.HasSuffix(key, "_FILE") && strings.HasPrefix(value, "/run/secrets/"), "%s of %s", key, name)
			}
		}
		for _, value := range values(s) {
			require.NotRegexp(t, withPassword, value, name)
			for _, assigned := range regexp.MustCompile(`(?i)PWD="?(\S+)`).FindAllStringSubmatch(value, -1) {
				require.Equal(t, "$$(cat", assigned[1], name)
			}
		}
	}
}

func TestImagesArePinnedAndPortsAreLocal(t *testing.T) {
	t.Parallel()
	for name, s := range readCompose(t).Services {
		_, tag, ok := strings.Cut(s.Image, ":")
		require.True(t, ok, name)
		require.NotContains(t, []string{"", "latest"}, tag, name)
		for _, port := range s.Ports {
			require.True(t, strings.HasPrefix(port, "127.0.0.1:"), "port %s of %s", port, name)
		}
	}
}

// stage is one FROM of the Dockerfile with the instructions that follow it.
type stage struct {
	base         string
	instructions []string // "USER 65532:65532"
}

func (s stage) last(instruction string) string {
	for _, line := range slices.Backward(s.instructions) {
		if rest, ok := strings.CutPrefix(line, instruction+" "); ok {
			return rest
		}
	}
	return ""
}

func stages(t *testing.T) map[string]stage {
	t.Helper()
	body, err := os.ReadFile(filepath.Join(root, "Dockerfile"))
	require.NoError(t, err)
	found := map[string]stage{}
	name := ""
	text := strings.ReplaceAll(string(body), "\\\n", " ")
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if words := strings.Fields(line); words[0] == "FROM" {
			require.Len(t, words, 4, "every stage has a name: %s", line)
			name = words[3]
			found[name] = stage{base: words[1]}
			continue
		}
		s := found[name]
		s.instructions = append(s.instructions, strings.Join(strings.Fields(line), " "))
		found[name] = s
	}
	return found
}

func TestImages(t *testing.T) {
	t.Parallel()
	all := stages(t)
	build := strings.Join(all["build"].instructions, "\n")
	require.Contains(t, build, "CGO_ENABLED=0")
	require.Contains(t, build, "-trimpath")
	require.Contains(t, build, "-X main.version=${VERSION}")
	for source := range strings.FieldsSeq("activities internal starter worker workflows") {
		require.Contains(t, build, "COPY "+source+" ./"+source)
		require.DirExists(t, filepath.Join(root, source))
	}
	require.NotContains(t, build, "COPY . ", "a layer would hold .drawbridge/ and the secrets")

	require.Contains(t, all["worker"].base, "distroless/static")
	require.NotContains(t, strings.Join(all["worker"].instructions, "\n"), "RUN", "it has no shell")
	require.Contains(t, all["worker-tools"].base, "debian")
	for tool := range strings.FieldsSeq("bash postgresql-client python3 ca-certificates") {
		require.Contains(t, all["worker-tools"].last("RUN"), tool)
	}
	for _, name := range []string{"worker", "worker-tools"} {
		require.Equal(t, "65532:65532", all[name].last("USER"), name)
		require.Equal(t, `["/usr/local/bin/drawbridge-worker"]`, all[name].last("ENTRYPOINT"), name)
		require.Contains(t, all[name].instructions, "COPY --from=build /out/ /usr/local/bin/", name)
	}
}
