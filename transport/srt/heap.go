package srt

// The listener's connections as a binary heap, by when they are due.

// fix puts a connection where its due time belongs.
func (l *Listener) fix(c *Conn) {
	if c.index < 0 {
		c.index = len(l.heap)
		l.heap = append(l.heap, c)
	}
	l.up(c.index)
	l.down(c.index)
}

func (l *Listener) unheap(c *Conn) {
	i, last := c.index, len(l.heap)-1
	if i < 0 {
		return
	}
	l.swap(i, last)
	l.heap[last] = nil
	l.heap = l.heap[:last]
	c.index = -1
	if i < last {
		l.fix(l.heap[i])
	}
}

func (l *Listener) swap(i, j int) {
	l.heap[i], l.heap[j] = l.heap[j], l.heap[i]
	l.heap[i].index, l.heap[j].index = i, j
}

func (l *Listener) up(i int) {
	for i > 0 && l.heap[i].due < l.heap[(i-1)/2].due {
		l.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
}

func (l *Listener) down(i int) {
	for {
		least := i
		for j := 2*i + 1; j <= 2*i+2 && j < len(l.heap); j++ {
			if l.heap[j].due < l.heap[least].due {
				least = j
			}
		}
		if least == i {
			return
		}
		l.swap(i, least)
		i = least
	}
}
