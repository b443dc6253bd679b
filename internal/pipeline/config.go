package pipeline

import (
	"time"

	"drawbridge/internal/schedule"
)

// Config is config.<env>.yaml: all that differs between environments. An author writes it, so it names what policy allows
// and holds no secret and no reference to one.
type Config struct {
	Environment     string         `json:"environment"`      // from the file name: config.prod.yaml is prod
	Warehouse       string         `json:"warehouse"`        // a connection of the policy: its name, or its URL
	WarehouseSchema string         `json:"warehouse_schema"` // readers see only this schema
	WriteMode       string         `json:"write_mode"`       // replace
	SourceFiles     string         `json:"source_files"`     // folder below a root of the worker
	Smoke           *Smoke         `json:"smoke,omitempty"`  // overrides
	Watch           *WatchOverride `json:"watch,omitempty"`
	// Schedule is when the pipeline runs here by itself; nil: never.
	Schedule *schedule.Schedule `json:"schedule,omitempty"`
	// Timezone is that of the pipeline's partitions: the sessions in which its SQL runs have it. Empty is UTC.
	Timezone string `json:"-"`
}

// WatchOverride replaces the named parts of a pipeline's watch.
type WatchOverride struct {
	For       *time.Duration `json:"for,omitempty"`
	Every     *time.Duration `json:"every,omitempty"`
	Freshness *time.Duration `json:"freshness,omitempty"`
	OnBreach  *OnBreach      `json:"on_breach,omitempty"`
}
