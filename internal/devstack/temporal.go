package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"time"

	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/server/common/authorization"
	"go.temporal.io/server/common/cluster"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/dynamicconfig"
	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/membership/static"
	"go.temporal.io/server/common/persistence/sql/sqlplugin/sqlite"
	"go.temporal.io/server/common/primitives"
	"go.temporal.io/server/common/testing/freeport"
	schema "go.temporal.io/server/schema/sqlite"
	"go.temporal.io/server/temporal"
	"google.golang.org/protobuf/types/known/durationpb"
)

const (
	namespace   = "default"
	clusterName = "active"
	// retention of closed workflows: the server's default of a day would empty the Web UI overnight.
	retention = 30 * 24 * time.Hour
)

// startTemporal starts a Temporal server whose state is in the SQLite file, and returns when it answers workflows of the
// namespace. Where it does not, the server that it returns is still to be stopped.
func startTemporal(ctx context.Context, file string, port int, k kind) (temporal.Server, error) {
	server, err := newTemporal(file, port, k, temporal.DefaultServices)
	if err != nil {
		return nil, err
	}
	if err := server.Start(); err != nil {
		return nil, fmt.Errorf("start Temporal: %w", err)
	}
	return server, awaitTemporal(ctx, address(port), answerLimit)
}

// newTemporal configures a server of these of Temporal's services, and makes its file where there is none.
func newTemporal(file string, port int, k kind, services []string) (temporal.Server, error) {
	store := &config.SQL{
		PluginName: sqlite.PluginName,
		// The name becomes part of a URI.
		DatabaseName: (&url.URL{Path: file}).EscapedPath(),
		ConnectAttributes: map[string]string{
			"mode":         "rwc",
			"journal_mode": "wal",
			"synchronous":  k.synchronous(),
		},
	}
	if err := createStore(file, store); err != nil {
		return nil, err
	}
	settings := temporalConfig(store, port)
	server, err := temporal.NewServer(
		temporal.WithConfig(settings),
		temporal.ForServices(services),
		temporal.WithStaticHosts(hosts(settings)),
		temporal.WithLogger(log.NewZapLogger(log.BuildZapLogger(log.Config{Stdout: true, Level: "warn"}))),
		temporal.WithAuthorizer(authorization.NewNoopAuthorizer()),
		temporal.WithDynamicConfigClient(dynamicSettings(k)),
	)
	if err != nil {
		return nil, fmt.Errorf("configure Temporal: %w", err)
	}
	return server, nil
}

// hosts names the one host of each service. Otherwise services find each other by what the file says of the last 20
// seconds, and a server that starts again would wait for most of a minute for the one that it replaces.
func hosts(settings *config.Config) map[primitives.ServiceName]static.Hosts {
	all := map[primitives.ServiceName]static.Hosts{}
	for name, service := range settings.Services {
		all[primitives.ServiceName(name)] = static.SingleLocalHost(address(service.RPC.GRPCPort))
	}
	return all
}

// pollRate is how many times a second each queue of the one history shard may be read. Each step of a lone workflow
// takes a read of its own, so that the server's 20, meant for thousands of shards, would be the speed of a deployment.
// Reads follow tasks: an idle stack has none.
const pollRate = 1000

// grown is how many events a workflow of a passing stack has when it is told that its history has grown: tests of what
// follows do not need the thousands that it takes elsewhere.
const grown = 320

func dynamicSettings(k kind) dynamicconfig.StaticClient {
	settings := dynamicconfig.StaticClient{
		// Task priorities need it; newer servers have it on.
		dynamicconfig.MatchingUseNewMatcher.Key(): true,
		// As on newer servers; it spares a round trip per activity of the worker that asked for it.
		dynamicconfig.EnableActivityEagerExecution.Key(): true,
		// A search attribute can be used as soon as it is created.
		dynamicconfig.ForceSearchAttributesCacheRefreshOnRead.Key(): true,
		// One process gains nothing from partitions, and a task would travel between them.
		dynamicconfig.MatchingNumTaskqueueReadPartitions.Key():  1,
		dynamicconfig.MatchingNumTaskqueueWritePartitions.Key(): 1,
		dynamicconfig.TransferProcessorMaxPollRPS.Key():         pollRate,
		dynamicconfig.TimerProcessorMaxPollRPS.Key():            pollRate,
		dynamicconfig.VisibilityProcessorMaxPollRPS.Key():       pollRate,
		// No timer fires sooner than this. It allows for clocks of hosts that differ, by a second unless said otherwise.
		dynamicconfig.TimerProcessorMaxTimeShift.Key(): 10 * time.Millisecond,
	}
	if k == passing {
		settings[dynamicconfig.HistoryCountSuggestContinueAsNew.Key()] = grown
	}
	return settings
}

// createStore makes the file with its schema and namespace. The file appears under its name when it is whole: a crash
// leaves no half schema.
func createStore(file string, store *config.SQL) error {
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := errors.Join(removeIfThere(file+".new"), removeIfThere(file+".new-journal")); err != nil {
		return fmt.Errorf("create Temporal's database: %w", err)
	}
	unfinished := *store
	unfinished.DatabaseName += ".new"
	// The server's library never closes a connection, so that a write-ahead log would stay beside the file for ever.
	unfinished.ConnectAttributes = maps.Clone(store.ConnectAttributes)
	unfinished.ConnectAttributes["journal_mode"] = "delete"
	if err := schema.SetupSchema(&unfinished); err != nil {
		return fmt.Errorf("create Temporal's schema: %w", err)
	}
	keyword := enums.INDEXED_VALUE_TYPE_KEYWORD
	ns, err := schema.NewNamespaceConfig(clusterName, namespace, false, map[string]enums.IndexedValueType{
		"DrawbridgePipeline":    keyword,
		"DrawbridgeEnvironment": keyword,
		"DrawbridgeRelease":     keyword,
		"DrawbridgeStage":       keyword,
		"DrawbridgeGate":        keyword,
	})
	if err != nil {
		return fmt.Errorf("create Temporal's namespace: %w", err)
	}
	ns.Detail.Config.Retention = durationpb.New(retention)
	if err := schema.CreateNamespaces(&unfinished, ns); err != nil {
		return fmt.Errorf("create Temporal's namespace: %w", err)
	}
	if err := errors.Join(os.Chmod(file+".new", 0o600), os.Rename(file+".new", file)); err != nil {
		return fmt.Errorf("create Temporal's database: %w", err)
	}
	return nil
}

func temporalConfig(store *config.SQL, port int) *config.Config {
	service := func(port int) config.Service {
		return config.Service{RPC: config.RPC{GRPCPort: port, BindOnIP: host}}
	}
	return &config.Config{
		// Nothing is joined. The services may take twice as long to start, where 15 seconds are too few on a busy machine.
		Global: config.Global{Membership: config.Membership{MaxJoinDuration: answerLimit / 2}},
		Persistence: config.Persistence{
			DefaultStore:     sqlite.PluginName,
			VisibilityStore:  sqlite.PluginName,
			NumHistoryShards: 1,
			DataStores:       map[string]config.DataStore{sqlite.PluginName: {SQL: store}},
		},
		ClusterMetadata: &cluster.Config{
			FailoverVersionIncrement: 10,
			MasterClusterName:        clusterName,
			CurrentClusterName:       clusterName,
			ClusterInformation: map[string]cluster.ClusterInformation{
				clusterName: {Enabled: true, InitialFailoverVersion: 1, RPCAddress: address(port)},
			},
		},
		DCRedirectionPolicy: config.DCRedirectionPolicy{Policy: "noop"},
		Services: map[string]config.Service{
			"frontend": service(port),
			"history":  service(freeport.MustGetFreePort()),
			"matching": service(freeport.MustGetFreePort()),
			"worker":   service(freeport.MustGetFreePort()),
		},
		Archival: config.Archival{
			History:    config.HistoryArchival{State: config.ArchivalDisabled},
			Visibility: config.VisibilityArchival{State: config.ArchivalDisabled},
		},
		NamespaceDefaults: config.NamespaceDefaults{Archival: config.ArchivalNamespaceDefaults{
			History:    config.HistoryArchivalNamespaceDefaults{State: config.ArchivalDisabled},
			Visibility: config.VisibilityArchivalNamespaceDefaults{State: config.ArchivalDisabled},
		}},
		PublicClient: config.PublicClient{HostPort: address(port)},
	}
}
