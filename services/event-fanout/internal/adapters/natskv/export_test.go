package natskv

import "time"

// Living changes after how long without a renewal a lease is lost.
func (l *Leases) Living(life time.Duration) *Leases {
	l.life = life
	return l
}
