package browser

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// patience is far more than anything here takes, on a busy machine too.
const patience = time.Minute

// startDemo builds and starts the demo, and returns the address of its dashboard. It
// ends with the test, and must end well.
func startDemo(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "demo")
	build := exec.Command("go", "build", "-o", program, "./cmd/demo")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	demo := exec.Command(program, "-listen", "127.0.0.1:0")
	var complaints strings.Builder
	demo.Stderr = &complaints
	stdout, err := demo.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := demo.Start(); err != nil {
		t.Fatal(err)
	}
	address := make(chan string, 1)
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			if m := regexp.MustCompile(`dashboard +(http://\S+)`).FindStringSubmatch(lines.Text()); m != nil {
				address <- m[1]
			}
		}
		close(address)
	}()
	t.Cleanup(func() {
		_ = demo.Process.Signal(os.Interrupt)
		<-read
		if err := demo.Wait(); err != nil || complaints.String() != "" {
			t.Errorf("the demo: %v\n%s", err, complaints.String())
		}
	})
	url, ok := <-address
	if !ok {
		t.Fatal("the demo doesn't start")
	}
	return url
}

// show opens an address in a tab of a certain size, as somebody does who likes it dark
// or light.
func show(t *testing.T, url string, width, height int64, scheme string) page {
	t.Helper()
	p := newTab(t)
	look := chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := cdp.Call(ctx, tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return err
	})
	p.do(chromedp.EmulateViewport(width, height), look, chromedp.Navigate(url))
	p.until(`document.getElementById("link").textContent === "live"`)
	return p
}

func (p page) do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		p.t.Fatal(err)
	}
}

// until waits until an expression is true in the page.
func (p page) until(expression string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if _, err := chromedp.Run(ctx, chromedp.Poll[bool]("!!("+expression+")", chromedp.WithPollingInterval(50*time.Millisecond), chromedp.WithPollingTimeout(patience))); err != nil {
		p.t.Fatalf("not within %v: %s: %v\n%s", patience, expression, err, p.text("#events")+p.text("#fault"))
	}
}

// evaluate is an expression's value.
func evaluate[T any](p page, expression string) T {
	p.t.Helper()
	v, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		p.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

func (p page) text(selector string) string {
	p.t.Helper()
	return evaluate[string](p, fmt.Sprintf("document.querySelector(%q).innerText", selector))
}

// press clicks what a selector names.
func (p page) press(selector string) {
	p.t.Helper()
	p.do(chromedp.Click(selector))
}

// happens waits for a line of the diary.
func (p page) happens(pattern string) {
	p.t.Helper()
	p.until(fmt.Sprintf(`[...document.querySelectorAll("#events li")].some(li => /%s/.test(li.textContent))`, pattern))
}

// picture keeps a screenshot of all of the page: in SHOAL_PICTURES, if that is given, to
// be looked at.
func (p page) picture(name string) {
	p.t.Helper()
	png, err := chromedp.Run(p.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		p.t.Fatal(err)
	}
	dir := os.Getenv("SHOAL_PICTURES")
	if dir == "" {
		dir = p.t.TempDir()
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
		p.t.Error(err)
	}
}
