//go:build tools

// Package containerd pins the container runtime of test clusters whose kubelet needs containerd 2.
package containerd

import (
	_ "github.com/containerd/containerd/v2/cmd/containerd"
	_ "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2"
)
