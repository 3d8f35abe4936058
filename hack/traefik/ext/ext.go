// Package ext extends nothing.
package ext

// HTTP adds nothing to the dynamic configuration of HTTP.
type HTTP struct{}

// Router adds nothing to a router.
type Router struct{}
