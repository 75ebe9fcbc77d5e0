package main

import (
	"flag"
	"log/slog"
	"os"

	"github.com/shoal-dev/shoal/cmd/demo/atlas"
	"github.com/shoal-dev/shoal/cmd/demo/seeds"
)

// mysqlVariable says what -mysql does: a command line, with the password, is for every
// user of the machine to see.
const mysqlVariable = "DEMO_MYSQL"

// mysqlFlag says where the continents are.
func mysqlFlag(fs *flag.FlagSet) *string {
	return fs.String("mysql", "", "`user:password@tcp(host:port)/database` of a MySQL or MariaDB with the table of /continents (default a table in the program); "+
		mysqlVariable+" in the environment says the same, and ps doesn't show it")
}

// chooseMySQL returns what the flag says, or else the environment. It tells a name that
// makes no sense. Whether somebody is there is no matter yet.
func chooseMySQL(given string, log *slog.Logger) (dsn string, err error) {
	dsn, from := given, "-mysql"
	if dsn == "" {
		dsn, from = os.Getenv(mysqlVariable), mysqlVariable
	}
	_, end, err := openAtlas(dsn, log)
	if err != nil {
		return "", usagef("%s: %w", from, err)
	}
	return dsn, end()
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
