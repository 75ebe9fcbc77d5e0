package transport

import (
	"context"
	"crypto/tls"
	"net"

	"google.golang.org/grpc/credentials"
)

// fresh are the credentials of an asker whose certificate and authorities may be
// others for each connection.
type fresh struct {
	credentials.TransportCredentials
	config func() (*tls.Config, error)
}

func (f fresh) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	c, err := f.config()
	if err != nil {
		return nil, nil, err
	}
	if c.ServerName != "" {
		authority = c.ServerName // gRPC would look for the address in the certificate
	}
	return credentials.NewTLS(c).ClientHandshake(ctx, authority, raw)
}

func (f fresh) Clone() credentials.TransportCredentials { return f }
