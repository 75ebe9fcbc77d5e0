// Package atlas knows the continents: from a table in the program, or from a
// database, so that the demo can be what its example is, an API in front of one.
//
// Embedded is a list. Open connects to MySQL or MariaDB, whose table continents has
// the column continent_name; continents.sql makes and fills it. A database that is
// away is an error of each call and not of Open, so a replica starts without one and
// serves the continents as soon as it is there. Each reading is one query, and takes
// two seconds at most; nothing is cached, so a change of the table shows at once.
//
// Only cmd/demo imports this package, and only it imports the driver, so who embeds
// Shoal gets neither; a test of a module that does so (TestEmbed in test) says that.
// The driver's messages go to the log that Open is given, and none has a password.
package atlas

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"time"

	"github.com/go-sql-driver/mysql"
)

const (
	// queryTime bounds a question, with the time to connect.
	queryTime = 2 * time.Second
	// maxConnections leaves others their share of a database's usual 151.
	maxConnections = 8
	// connectionAge is below the time after which servers and what is on the way
	// give up a connection; the driver recommends less than 5 minutes.
	connectionAge = 3 * time.Minute

	question = "SELECT continent_name FROM continents ORDER BY continent_name"
)

// Embedded returns the continents, in the order of the alphabet.
func Embedded(context.Context) ([]string, error) {
	return []string{"Africa", "Antarctica", "Asia", "Europe", "North America", "Oceania", "South America"}, nil
}

// Database is an atlas in MySQL or MariaDB. Several goroutines may use it at once.
type Database struct{ db *sql.DB }

// Open returns the atlas at a data source name of the driver's form, such as
// "user:password@tcp(127.0.0.1:3306)/world" or "user@unix(/run/mysqld.sock)/world".
// It fails if that makes no sense, and connects later. log gets what the driver
// remarks on.
func Open(dsn string, log *slog.Logger) (*Database, error) {
	config, err := mysql.ParseDSN(dsn)
	if err != nil { // which doesn't repeat the password
		return nil, fmt.Errorf("want user:password@tcp(host:port)/database: %w", err)
	}
	if config.DBName == "" {
		return nil, fmt.Errorf("want user:password@tcp(host:port)/database: there is no database")
	}
	config.Timeout = queryTime
	config.Logger = remarks{log}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(maxConnections)
	db.SetMaxIdleConns(maxConnections)
	db.SetConnMaxLifetime(connectionAge)
	return &Database{db}, nil
}

// List reads the continents, in the order of the alphabet, within 2 s.
func (d *Database) List(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTime)
	defer cancel()
	rows, err := d.db.QueryContext(ctx, question)
	if err != nil {
		return nil, fmt.Errorf("atlas: %w", err)
	}
	defer rows.Close()
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, fmt.Errorf("atlas: %w", err)
		}
		names = append(names, name)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("atlas: %w", err)
	}
	return names, nil
}

// Close ends the connections.
func (d *Database) Close() error { return d.db.Close() }

// remarks writes what the driver has to say into a log.
type remarks struct{ log *slog.Logger }

// Print implements mysql.Logger.
func (r remarks) Print(v ...any) { r.log.Info("mysql: " + fmt.Sprint(v...)) }
