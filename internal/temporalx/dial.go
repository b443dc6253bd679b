package temporalx

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"
	"go.temporal.io/sdk/log"

	"drawbridge/internal/fault"
)

// DialTimeout is how long Dial looks for a server: a person waits for the answer.
const DialTimeout = 5 * time.Second

// Options of Dial.
type Options struct {
	// Address is used where neither the environment nor a profile names one; empty is the SDK's default, localhost:7233.
	Address string
	// Logger gets the lines of the SDK; nil is silence.
	Logger log.Logger
	// Identity is shown beside what this client does; empty is the SDK's default, which names process and host.
	Identity string
	// Env looks up variables; nil is the environment of the process.
	Env envconfig.EnvLookup
}

// Dial connects as Temporal's environment configuration says (TEMPORAL_ADDRESS, TEMPORAL_PROFILE, TEMPORAL_TLS_*,
// TEMPORAL_API_KEY, ...), with its default data converter. A configuration that cannot be used, and a server that does
// not answer within DialTimeout, are fault.Invalid with the remedy. A connection that does not verify the server's name is
// refused: whoever sits in between could send decisions.
func Dial(ctx context.Context, opts Options) (client.Client, error) {
	options, err := load(opts)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, DialTimeout)
	defer cancel()
	c, err := client.DialContext(ctx, options)
	if err != nil {
		return nil, fault.New(fault.Invalid, "reach Temporal", "at "+options.HostPort,
			"start the local stack: make up; or name another server: export TEMPORAL_ADDRESS=HOST:PORT", reason(err))
	}
	return c, nil
}

// Namespace is the one that Dial connects to.
func Namespace(opts Options) (string, error) {
	options, err := load(opts)
	if err != nil {
		return "", err
	}
	if options.Namespace == "" {
		return client.DefaultNamespace, nil
	}
	return options.Namespace, nil
}

func load(opts Options) (client.Options, error) {
	profile, err := envconfig.LoadClientConfigProfile(envconfig.LoadClientConfigProfileOptions{
		ConfigFileStrict: true, EnvLookup: opts.Env,
	})
	if err != nil {
		return client.Options{}, unusable(err)
	}
	if profile.TLS != nil && profile.TLS.DisableHostVerification {
		return client.Options{}, fault.Newf(fault.Refused, "connect to", "Temporal",
			"name the authority with TEMPORAL_TLS_SERVER_CA_CERT_PATH, or the server with TEMPORAL_TLS_SERVER_NAME",
			"host verification is turned off")
	}
	if profile.Address == "" {
		profile.Address = opts.Address
	}
	options, err := profile.ToClientOptions(envconfig.ToClientOptionsRequest{})
	if err != nil {
		return client.Options{}, unusable(err)
	}
	if options.HostPort == "" {
		options.HostPort = client.DefaultHostPort
	}
	options.Logger = opts.Logger
	if options.Logger == nil {
		options.Logger = silence()
	}
	options.Identity = opts.Identity
	return options, nil
}

func unusable(err error) error {
	return fault.New(fault.Invalid, "read", "the configuration of Temporal",
		"check TEMPORAL_PROFILE and the other TEMPORAL_ variables, or the file that TEMPORAL_CONFIG_FILE names", err)
}

// reason cuts an error of gRPC to what a person can use.
func reason(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("no answer within %s", DialTimeout)
	}
	return err
}
