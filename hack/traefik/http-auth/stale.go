package auth

import "net/http"

// RequireAuthStale asks for authentication anew.
func (da *DigestAuth) RequireAuthStale(w http.ResponseWriter, r *http.Request) { da.RequireAuth(w, r) }
