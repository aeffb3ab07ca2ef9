package config

import _ "embed"

// Example is an annotated file that is valid.
//
//go:embed example.yaml
var Example []byte
