import mpegts from 'mpegts.js';
import { type Link, type Output, type Stream, type Stutter, picture, players } from './api';
import { Chart } from './chart';
import { el, rate, since } from './dom';

// causes are the relay's, in the order of the chart's inks: docs/stutter.md.
const causes = ['encoder', 'capacity', 'loss', 'path', 'relay', 'egress'];

// stalls says what a viewer with a buffer of 1 s got, in words.
function stalls(s: Stutter): string {
  const by = causes.filter((c) => s.by_cause[c] > 0).map((c) => `${c} ${s.by_cause[c].toFixed(1)} s`);
  return by.length ? `stalled in the last 100 s: ${by.join(', ')}` : 'no stall in the last 100 s';
}

// Card shows one stream: its picture, vital signs over time, what is wrong, and where it goes.
export class Card {
  readonly box: HTMLElement;
  private readonly state = el('span', { className: 'state' });
  private readonly facts = el('p', { className: 'facts' });
  private readonly advice = el('ul', { className: 'advice' });
  private readonly outputs = el('table', { className: 'outputs' });
  private readonly video = el('video', { muted: true, playsInline: true, controls: true });
  private readonly rate = new Chart('Bit rate', ['media', 'target'], 'Mbit/s');
  private readonly rtt = new Chart('Round trip', ['RTT', 'latency agreed'], 'ms');
  private readonly loss = new Chart('Packets', ['lost at first', 'sent again', 'by FEC', 'holes'], 'per s');
  private readonly stall = new Chart('Stalls by cause', causes, 's in the last 100 s');
  private readonly lag = new Chart('Waiting, oldest', ['destinations', 'players'], 'ms');
  private readonly viewers = el('details', { className: 'players' });
  private player?: mpegts.Player;
  private last?: { at: number; link: Link };
  private playing = false;
  private waiting: number | null = null; // of the players, ms

  constructor(private readonly name: string) {
    this.video.autoplay = true;
    this.box = el(
      'article',
      { data: { stream: name } },
      el('h2', {}, name, ' ', this.state),
      el(
        'div',
        { className: 'body' },
        el('div', { className: 'side' }, this.video, this.advice, this.facts, this.outputs, this.viewers),
        el('div', { className: 'charts' }, this.rate.box, this.rtt.box, this.loss.box, this.stall.box, this.lag.box),
      ),
    );
  }

  update(s: Stream, outputs: Output[]): void {
    this.state.textContent = s.state;
    this.state.dataset.state = s.state;
    const link = s.publisher?.link;
    const pictures = s.tracks.filter((t) => t.width).map((t) => `${t.codec} ${t.width}×${t.height}`);
    const sounds = s.tracks.filter((t) => !t.width).map((t) => t.codec);
    this.facts.textContent = [
      s.publisher ? `${s.publisher.protocol.toUpperCase()} from ${s.publisher.peer} for ${since(s.publisher.since)}` : 'nobody publishes; players see the last picture',
      [...pictures, ...sounds].join(' + '),
      rate(s.bitrate_bps),
      s.pictures_per_s ? `${s.pictures_per_s} pictures/s` : '',
      link ? `RTT ${link.rtt_ms} ms, latency ${link.latency_ms} ms` : '',
      `${s.players} ${s.players === 1 ? 'player' : 'players'}`,
      s.stutter ? stalls(s.stutter) : '',
    ]
      .filter(Boolean)
      .join(' · ');
    this.state.title = s.stutter?.stalled_by ? `viewers wait: ${s.stutter.stalled_by}` : '';
    this.box.dataset.stalled = s.stutter?.stalled_by ?? '';
    this.draw(s, link, outputs);
    void this.list(s);
    this.advice.replaceChildren(...(s.advice ?? []).map((a) => el('li', {}, a.text, el('small', {}, ` ${a.evidence}`))));
    this.outputs.replaceChildren(
      ...outputs.map((o) =>
        el(
          'tr',
          {},
          el('td', {}, o.destination),
          el('td', {}, el('span', { className: 'state', data: { state: o.state } }, o.state)),
          el('td', {}, o.state === 'publishing' ? `${o.lag_ms} ms behind, ${o.dropped_frames_total} frames dropped` : (o.last_error ?? '').replace(/^rtmpout: (dial: )?/, '')),
          el('td', {}, o.stutter ? stalls(o.stutter) : ''),
        ),
      ),
    );
    this.watch(s);
  }

  // list names who watches; the relay is asked only while the list is open.
  private async list(s: Stream): Promise<void> {
    if (!this.viewers.firstChild) this.viewers.append(el('summary', {}), el('table', { className: 'outputs' }));
    const [head, table] = this.viewers.children as unknown as [HTMLElement, HTMLTableElement];
    head.textContent = `${s.players} ${s.players === 1 ? 'player' : 'players'}`;
    if (s.players === 0 && s.outputs === 0) return void (this.waiting = null);
    try {
      const all = (await players(s.name)).filter((p) => p.protocol !== 'push');
      this.waiting = all.length ? Math.max(...all.map((p) => p.lag_ms)) : null;
      if (!this.viewers.open) return;
      table.replaceChildren(
        ...all.slice(0, 100).map((p) =>
          el(
            'tr',
            {},
            el('td', {}, `${p.protocol} ${p.peer}`),
            el('td', {}, since(p.since)),
            el('td', {}, `${p.lag_ms} ms behind, ${p.dropped_frames_total} frames dropped`),
          ),
        ),
      );
    } catch {
      this.waiting = null; // the stream ended meanwhile
    }
  }

  private draw(s: Stream, link: Link | undefined, outputs: Output[]): void {
    const at = Date.now() / 1000;
    this.rate.add(at, s.bitrate_bps / 1e6, s.target_bps ? s.target_bps / 1e6 : null);
    this.rtt.add(at, link?.rtt_ms ?? null, link?.latency_ms ?? null);
    let gone: (number | null)[] = [null, null, null, null];
    if (link && this.last && link.received_packets >= this.last.link.received_packets) {
      const old = this.last.link;
      const d = at - this.last.at;
      gone = [
        (link.lost_packets - old.lost_packets) / d,
        (link.retransmitted_packets - old.retransmitted_packets) / d,
        (link.repaired_packets - old.repaired_packets) / d,
        (link.dropped_packets - old.dropped_packets) / d,
      ];
    }
    this.loss.add(at, ...gone);
    this.stall.add(at, ...causes.map((c) => s.stutter?.by_cause[c] ?? null));
    const live = outputs.filter((o) => o.state === 'publishing');
    this.lag.add(at, live.length ? Math.max(...live.map((o) => o.lag_ms)) : null, this.waiting);
    this.last = link && { at, link };
  }

  // watch keeps the picture running while there is a stream, held or live; a player that has failed is made anew with the next sample.
  private watch(s: Stream): void {
    if (this.playing || !s.tracks.length || !mpegts.isSupported()) return;
    this.playing = true;
    const p = mpegts.createPlayer(
      { type: 'flv', isLive: true, url: picture(this.name), hasAudio: s.tracks.some((t) => !t.width), hasVideo: s.tracks.some((t) => t.width) },
      { enableStashBuffer: false, liveBufferLatencyChasing: true },
    );
    const over = () => {
      if (this.player === p) this.stop();
    };
    p.on(mpegts.Events.ERROR, over);
    p.on(mpegts.Events.LOADING_COMPLETE, over);
    p.attachMediaElement(this.video);
    p.load();
    void Promise.resolve(p.play()).catch(() => undefined); // a browser may want a click first
    this.player = p;
  }

  private stop(): void {
    const p = this.player;
    this.player = undefined;
    this.playing = false;
    setTimeout(() => p?.destroy());
  }

  destroy(): void {
    this.stop();
    for (const c of [this.rate, this.rtt, this.loss, this.stall, this.lag]) c.destroy();
    this.box.remove();
  }
}
