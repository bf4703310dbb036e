// Package archtest holds the rules of the house as a test: who may import whom, which packages
// stay pure, and where each third-party library lives.
package archtest
