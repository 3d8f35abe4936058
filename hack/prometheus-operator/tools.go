//go:build tools

// Pins the Prometheus operator and its CRDs, for tests/monitoring.
package tools

import _ "github.com/prometheus-operator/prometheus-operator/cmd/operator"
