package main

import (
	"flag"
	"log/slog"

	"github.com/shoal-dev/shoal/cmd/demo/atlas"
	"github.com/shoal-dev/shoal/cmd/demo/seeds"
)

// mysqlFlag says where the continents are.
func mysqlFlag(fs *flag.FlagSet) *string {
	return fs.String("mysql", "", "`user:password@tcp(host:port)/database` of a MySQL or MariaDB with the table of /continents (default a table in the program)")
}

// checkMySQL tells a name that makes no sense. Whether somebody is there is no matter yet.
func checkMySQL(dsn string, log *slog.Logger) error {
	_, end, err := openAtlas(dsn, log)
	if err != nil {
		return usagef("-mysql: %w", err)
	}
	return end()
}

// openAtlas returns who knows the continents, and the end of that.
func openAtlas(dsn string, log *slog.Logger) (seeds.List, func() error, error) {
	if dsn == "" {
		return atlas.Embedded, func() error { return nil }, nil
	}
	db, err := atlas.Open(dsn, log)
	if err != nil {
		return nil, nil, err
	}
	return db.List, db.Close, nil
}
