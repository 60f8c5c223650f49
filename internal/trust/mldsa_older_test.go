//go:build !go1.27

package trust_test

// knowsMLDSA says what this build can do.
const knowsMLDSA = false
