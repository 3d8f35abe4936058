//go:build tools

// Package contour pins the release of Contour that is tested in front of the servers.
package contour

import (
	_ "github.com/projectcontour/contour/cmd/contour"
)
