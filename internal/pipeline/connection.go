package pipeline

import (
	"net/url"
	"regexp"
	"slices"
	"strings"

	"drawbridge/internal/fault"
	"drawbridge/internal/secret"
	"drawbridge/internal/strictyaml"
)

// DefaultConnection is the name of the connection that a config means which names none.
const DefaultConnection = "warehouse"

// Use is what pipelines may use a connection for.
type Use string

// The uses of a connection: as the warehouse that a config names, and as a source that extracts read.
const (
	ForWarehouse Use = "warehouse"
	ForSource    Use = "source"
)

// Connection is a database as a policy knows it. Values of secrets are not in it, only references.
type Connection struct {
	URL      string `json:"url"`
	Password string `json:"password,omitempty"` // a reference
	// Author is the login under which authors' SQL runs; nil: the URL's own.
	Author *Login `json:"author,omitempty"`
	// Use is what it may be used for; none: as a warehouse.
	Use     []Use   `json:"use,omitempty"`
	Schemas Schemas `json:"schemas,omitzero"`
	TLS     TLS     `json:"tls,omitzero"`
}

// For says whether a connection may be used for something.
func (c Connection) For(use Use) bool {
	if len(c.Use) == 0 {
		return use == ForWarehouse
	}
	return slices.Contains(c.Use, use)
}

// Login is a user of a database.
type Login struct {
	User     string `json:"user"`
	Password string `json:"password,omitempty"` // a reference
}

// Schemas are what pipelines may touch over a connection.
type Schemas struct {
	Write []string `json:"write,omitempty"` // none: any
	Read  []string `json:"read,omitempty"`
}

// TLS says how a connection is encrypted; the zero TLS leaves it to the URL.
type TLS struct {
	Mode        string `json:"mode,omitempty"`
	Root        string `json:"root,omitempty"`
	Certificate string `json:"certificate,omitempty"`
	Key         string `json:"key,omitempty"`
}

// ConnectionName is the connection that a config means: it has the name, or the URL, that the config says, and may write the
// config's schema. Any other is fault.Refused.
func (p Policy) ConnectionName(c Config) (string, error) {
	name, found := p.connectionOf(c.Warehouse, ForWarehouse)
	names := strings.Join(p.connectionsFor(ForWarehouse), " or ")
	if found && !p.Connections[name].For(ForWarehouse) {
		return "", fault.Newf(fault.Refused, "connect to", name, "write warehouse: "+names,
			"the environment's policy has the connection for extracts to read, and not as a warehouse")
	}
	if !found {
		return "", fault.Newf(fault.Refused, "connect to", "the warehouse of config."+c.Environment+".yaml",
			"write warehouse: "+names+", or ask who keeps the policy of "+c.Environment+" to add a connection",
			"the environment's policy has no such connection")
	}
	connection := p.Connections[name]
	if write := connection.Schemas.Write; len(write) > 0 && !slices.Contains(write, c.WarehouseSchema) {
		return "", fault.Newf(fault.Refused, "connect to", name, "set warehouse_schema to "+strings.Join(write, " or ")+", or ask who keeps the policy of "+c.Environment+" to add the schema",
			"the environment's policy lets nobody write schema "+c.WarehouseSchema+" there")
	}
	return name, nil
}

// sameDatabase compares the URL of a policy with one that an author wrote: host, port, database and, where the author says
// one, the user. What else is in the policy's URL is not the author's to say.
func sameDatabase(ours, theirs string) bool {
	a, errA := url.Parse(reference.ReplaceAllString(ours, "reference"))
	b, errB := url.Parse(theirs)
	if errA != nil || errB != nil || a.Host == "" || b.Host == "" || !postgresScheme(a.Scheme) || !postgresScheme(b.Scheme) {
		return false
	}
	if b.User != nil && (a.User == nil || a.User.Username() != b.User.Username()) {
		return false
	}
	port := func(u *url.URL) string {
		if u.Port() == "" {
			return "5432"
		}
		return u.Port()
	}
	return strings.EqualFold(a.Hostname(), b.Hostname()) && port(a) == port(b) && a.Path == b.Path
}

func postgresScheme(scheme string) bool { return scheme == "postgres" || scheme == "postgresql" }

var (
	// connectionOption finds the options of a connection string that lead to files, services or credentials.
	connectionOption = regexp.MustCompile(`(?i)\b(passfile|password|sslkey|sslcert|sslrootcert|sslpassword|sslcrl|service|servicefile|host|hostaddr|port|user|dbname|options)\s*=`)
	reference        = regexp.MustCompile(`\$\{(?:env|file):[^{}\s]*\}`)
)

// warehouse refuses what is neither the name of a connection nor the plain URL of one. Which ones there are is for the
// environment's policy to say. What stands there is not repeated: it may be a password.
func (b *builder) warehouse(v strictyaml.Value) {
	text, ok := v.Data.(string)
	if !ok || identifierPattern.MatchString(text) {
		return
	}
	hint := "name a connection of the environment's policy, for example warehouse: " + DefaultConnection + "; its credential is in the policy"
	if strings.Contains(text, "${") {
		b.problems.Add(v.At, strings.TrimSuffix("a config holds no secret and no reference to one: "+reference.FindString(text), ": "), hint)
		return
	}
	if secret.LiteralPassword(text) {
		b.problems.Add(v.At, "the password is written out", hint)
		return
	}
	parsed, err := url.Parse(text)
	if isURL := err == nil && postgresScheme(parsed.Scheme) && parsed.Host != ""; isURL && parsed.RawQuery == "" && parsed.Fragment == "" {
		return
	}
	if m := connectionOption.FindStringSubmatch(text); m != nil {
		b.problems.Add(v.At, "a config takes no "+strings.ToLower(m[1])+"= of a connection", hint)
		return
	}
	b.problems.Add(v.At, "must be the name of a connection, or a URL such as postgres://user@host:5432/database without options", hint)
}

// connections reads the connections of a policy.
func (b *builder) connections(v strictyaml.Value) map[string]Connection {
	connections := map[string]Connection{}
	for _, name := range v.Names() {
		c := v.Get(name)
		if !identifierPattern.MatchString(name) {
			b.problems.Add(v.KeyAt(name), "the name of a connection must be "+identifierWords, "")
			continue
		}
		connections[name] = b.connection(c)
	}
	return connections
}

func (b *builder) connection(v strictyaml.Value) Connection {
	c := Connection{
		URL: strictyaml.As[string](v.Get("url")), Password: strictyaml.As[string](v.Get("password")),
		Schemas: Schemas{Write: v.Get("schemas").Get("write").Strings(), Read: v.Get("schemas").Get("read").Strings()},
	}
	if author := v.Get("author"); author.OK() {
		c.Author = &Login{User: strictyaml.As[string](author.Get("user")), Password: strictyaml.As[string](author.Get("password"))}
	}
	if tls := v.Get("tls"); tls.OK() {
		c.TLS = TLS{
			Mode: strictyaml.As[string](tls.Get("mode")), Root: strictyaml.As[string](tls.Get("root")),
			Certificate: strictyaml.As[string](tls.Get("certificate")), Key: strictyaml.As[string](tls.Get("key")),
		}
	}
	for _, use := range v.Get("use").Strings() {
		c.Use = append(c.Use, Use(use))
	}
	b.distinct(v.Get("use"), "use")
	if !c.For(ForWarehouse) && len(c.Schemas.Write) > 0 {
		b.problems.Add(v.Get("schemas").Get("write").At, "nothing is written over a connection that is no warehouse", "remove it, or add warehouse to use")
	}
	if c.URL == "" {
		return c
	}
	at := v.Get("url").At
	for _, value := range []strictyaml.Value{v.Get("url"), v.Get("password"), v.Get("author").Get("password")} {
		if text, ok := value.Data.(string); ok {
			if _, err := secret.Parse(text); err != nil {
				b.problems.Add(value.At, reasonOf(err), fault.HintOf(err))
				return c
			}
		}
	}
	if secret.LiteralPassword(c.URL) {
		b.problems.Add(at, "the password is written out", "refer to it: password: ${file:/run/secrets/name} or ${env:NAME}")
		return c
	}
	whole := referencePattern.MatchString(c.URL)
	if parsed, err := url.Parse(reference.ReplaceAllString(c.URL, "reference")); !whole && (err != nil || !postgresScheme(parsed.Scheme)) {
		b.problems.Add(at, "must be a URL such as postgres://user@host:5432/database", "")
	}
	for _, schema := range c.Schemas.Write {
		if whose := TakenSchema(schema); whose != "" {
			b.problems.Add(v.Get("schemas").At, schema+" "+whose, "name schemas of yours")
		}
	}
	for _, schema := range c.Schemas.Read {
		if serversOwn(schema) {
			b.problems.Add(v.Get("schemas").At, schema+" is the server's own", "name schemas of yours")
		}
	}
	return c
}

// TakenSchema says why no pipeline may have a schema for its own: the server has it, or it lies where the data, the ledger or
// the shadows of another schema do, which may be another environment's. Empty: it may.
func TakenSchema(schema string) string {
	if serversOwn(schema) {
		return "is the server's own"
	}
	for _, suffix := range []string{"__data", "__ledger", "__shadow"} {
		if of, ok := strings.CutSuffix(schema, suffix); ok {
			return "is where Drawbridge keeps what belongs to a schema " + of
		}
	}
	return ""
}

func serversOwn(schema string) bool {
	return strings.HasPrefix(schema, "pg_") || schema == "information_schema"
}
