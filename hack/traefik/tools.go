//go:build tools

// Package traefik pins the release of Traefik that is tested in front of the servers, built without what cannot be
// downloaded everywhere and has no part in the tests:
//
//   - the 190 providers of DNS for certificates of an ACME authority, whose SDKs are most of its modules (`lego`);
//   - a fork of the module for basic and digest authentication; the original gets the method that the fork adds
//     (`http-auth`);
//   - a folder of its repository with empty types (`ext`).
//
// The builder (tests/kit/controllers/programs.py) copies the rest of the first two beside the files that are here.
package traefik

import (
	_ "github.com/traefik/traefik/v3/cmd/traefik"
)
