// Package temporalx joins Drawbridge to the Temporal SDK: it finds and dials the server, and hands the SDK's log lines to
// zap.
package temporalx
