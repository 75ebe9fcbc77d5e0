//go:build !linux

package main

import "errors"

func pin() error { return errors.New("only Linux can keep a process on one CPU") }

func pinned() int { return -1 }
