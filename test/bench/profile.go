package main

import (
	"os"
	"runtime/pprof"
)

// profile is the CPU profile that is being taken of this process, if any.
type profile struct{ file *os.File }

func (p *profile) begin(name string) error {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		_ = file.Close()
		return err
	}
	p.file = file
	return nil
}

// end completes the profile.
func (p *profile) end() error {
	if p.file == nil {
		return nil
	}
	pprof.StopCPUProfile()
	file := p.file
	p.file = nil
	return file.Close()
}
