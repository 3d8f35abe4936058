//go:build tools

// Pins Prometheus, which Debian builds without the discovery of pods, for tests/monitoring. Built with the tags
// remove_all_sd and enable_kubernetes_sd: of all discoveries only that of Kubernetes.
package tools

import _ "github.com/prometheus/prometheus/cmd/prometheus"
