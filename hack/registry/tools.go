//go:build tools

// Package registry pins the OCI registry that the tests push the chart to.
package registry

import _ "github.com/distribution/distribution/v3/cmd/registry"
