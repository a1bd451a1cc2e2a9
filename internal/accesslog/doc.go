// Package accesslog keeps the record of everything that passes the gateway.
package accesslog
