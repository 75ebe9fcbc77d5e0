package web

import (
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	"github.com/gorilla/mux"
	"github.com/labstack/echo/v4"
)

// byPattern counts by method and pattern, where a router notes it in the request: the
// mux of net/http and chi do. Under gin and echo it is the method alone.
func byPattern(r *http.Request) (string, error) { return r.Method + " " + r.Pattern, nil }

func TestServeMux(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimits(t, byPattern)
		api := http.NewServeMux()
		api.HandleFunc("/api/items/{id}", served)
		api.Handle("/api/export", l.route(http.HandlerFunc(served)))
		m := http.NewServeMux()
		m.HandleFunc("/free", served)
		m.Handle("POST /login", l.login(http.HandlerFunc(logsIn)))
		m.Handle("/api/", l.group(api))
		follow(t, l.app(m))
	})
}

func TestChi(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimits(t, byPattern)
		r := chi.NewRouter()
		r.Use(l.app)
		r.Get("/free", served)
		r.With(l.login).Post("/login", logsIn)
		r.Route("/api", func(r chi.Router) {
			r.Use(l.group)
			r.Get("/items/{id}", served)
			r.With(l.route).HandleFunc("/export", served)
		})
		follow(t, r)
	})
}

func TestGorilla(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimits(t, func(r *http.Request) (string, error) {
			pattern, err := mux.CurrentRoute(r).GetPathTemplate()
			return r.Method + " " + pattern, err
		})
		r := mux.NewRouter()
		r.Use(l.app)
		r.HandleFunc("/free", served)
		r.Handle("/login", l.login(http.HandlerFunc(logsIn))).Methods("POST")
		api := r.PathPrefix("/api").Subrouter()
		api.Use(l.group)
		api.HandleFunc("/items/{id}", served)
		api.Handle("/export", l.route(http.HandlerFunc(served)))
		follow(t, r)
	})
}

// forGin is the glue for gin. What the handlers after it write goes through the
// middleware's ResponseWriter.
func forGin(limit func(http.Handler) http.Handler) gin.HandlerFunc {
	return func(c *gin.Context) {
		passed, writer := false, c.Writer
		limit(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			passed, c.Request, c.Writer = true, r, ginWriter{writer, w}
			c.Next()
		})).ServeHTTP(writer, c.Request)
		if c.Writer = writer; !passed {
			c.Abort()
		}
	}
}

type ginWriter struct {
	gin.ResponseWriter
	w http.ResponseWriter
}

func (g ginWriter) WriteHeader(status int)            { g.w.WriteHeader(status) }
func (g ginWriter) Write(b []byte) (int, error)       { return g.w.Write(b) }
func (g ginWriter) WriteString(s string) (int, error) { return g.w.Write([]byte(s)) }
func (g ginWriter) Unwrap() http.ResponseWriter       { return g.w }

func TestGin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gin.SetMode(gin.ReleaseMode)
		l := newLimits(t, byPattern)
		r := gin.New()
		ok := func(c *gin.Context) { c.String(http.StatusOK, "served") }
		r.Use(forGin(l.app))
		r.GET("/free", ok)
		r.POST("/login", forGin(l.login), func(c *gin.Context) {
			if c.Request.URL.RawQuery != "right" {
				c.JSON(http.StatusUnauthorized, gin.H{"error": "wrong"})
				return
			}
			ok(c)
		})
		api := r.Group("/api", forGin(l.group))
		api.GET("/items/:id", ok)
		api.Any("/export", forGin(l.route), ok)
		follow(t, r)
	})
}

// answered writes the errors that handlers of echo return before the middleware
// looks at the response; echo does that after all of them.
func answered(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if err := next(c); err != nil {
			c.Error(err)
		}
		return nil
	}
}

func TestEcho(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimits(t, byPattern)
		e := echo.New()
		ok := func(c echo.Context) error { return c.String(http.StatusOK, "served") }
		e.Use(echo.WrapMiddleware(l.app))
		e.GET("/free", ok)
		e.POST("/login", func(c echo.Context) error {
			if c.QueryString() != "right" {
				return echo.NewHTTPError(http.StatusUnauthorized, "wrong")
			}
			return ok(c)
		}, echo.WrapMiddleware(l.login), answered)
		api := e.Group("/api", echo.WrapMiddleware(l.group))
		api.GET("/items/:id", ok)
		api.Any("/export", ok, echo.WrapMiddleware(l.route))
		follow(t, e)
	})
}
