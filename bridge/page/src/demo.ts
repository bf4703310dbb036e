import mpegts from 'mpegts.js';
import { el } from './dom';

// What GET demo.json answers (bench/demo).
interface Side {
  label: string;
  stream: string;
  live: boolean;
  stalls: number;
  stall_s: number;
  stall_s_per_100s: number;
  longest_ms: number;
  history: number[];
  frames_missing: number;
  link_packets: number;
  link_lost: number;
  wire_bytes: number;
  repaired: number;
}

interface Score {
  link: string;
  latency_ms: number;
  buffer_ms: number;
  seconds: number;
  sides: Side[];
  relay: string;
}

// View is one of the two: its picture, how long it stood still, and when.
class View {
  readonly box: HTMLElement;
  private readonly video = el('video', { muted: true, playsInline: true, controls: true });
  private readonly score = el('p', { className: 'score' });
  private readonly facts = el('p', { className: 'facts' });
  private readonly strip = el('div', { className: 'strip', title: 'the last two minutes: red is a picture that stands still' });
  private player?: mpegts.Player;

  constructor(side: Side) {
    this.video.autoplay = true;
    this.box = el('article', { data: { stream: side.stream } }, el('h2', {}, side.label), this.video, this.score, this.strip, this.facts);
  }

  update(s: Side): void {
    this.score.replaceChildren(el('b', {}, `${s.stall_s.toFixed(1)} s`), ` stood still, in ${s.stalls} ${s.stalls === 1 ? 'stall' : 'stalls'}: ${s.stall_s_per_100s.toFixed(1)} s per 100 s`);
    this.score.dataset.state = s.stall_s > 0 ? 'bad' : 'ok';
    this.strip.replaceChildren(
      ...s.history.map((v) => {
        const bar = el('i');
        bar.style.height = `${Math.max(4, v * 100)}%`;
        bar.dataset.state = v > 0 ? 'bad' : 'ok';
        return bar;
      }),
    );
    this.facts.textContent = [
      `the link lost ${s.link_lost} of ${s.link_packets} packets`,
      `${s.repaired} repaired or sent again`,
      `${s.frames_missing} pictures missing or not decodable`,
      `${(s.wire_bytes / 1e6).toFixed(1)} MB sent`,
      s.stalls ? `longest ${(s.longest_ms / 1000).toFixed(1)} s` : '',
    ]
      .filter(Boolean)
      .join(' · ');
    if (s.live && !this.player && mpegts.isSupported()) this.play(s.stream);
  }

  // play begins with the next key frame's group; a player that has failed is made anew with the next score.
  private play(stream: string): void {
    const p = mpegts.createPlayer(
      { type: 'flv', isLive: true, url: new URL(`${stream}.flv`, location.href).href },
      { enableStashBuffer: false, liveSync: true, liveSyncMaxLatency: 4, liveSyncTargetLatency: 2 },
    );
    const over = () => {
      if (this.player !== p) return;
      this.player = undefined;
      setTimeout(() => p.destroy());
    };
    p.on(mpegts.Events.ERROR, over);
    p.on(mpegts.Events.LOADING_COMPLETE, over);
    p.attachMediaElement(this.video);
    p.load();
    void Promise.resolve(p.play()).catch(() => undefined); // a browser may want a click first
    this.player = p;
  }
}

// demo shows the same clip twice through the same losses.
export async function demo(): Promise<never> {
  document.title = 'fairlead demo';
  document.body.classList.add('demo');
  const summary = document.getElementById('summary') as HTMLElement;
  const box = document.getElementById('streams') as HTMLElement;
  const note = el('p', { className: 'note' });
  const views = new Map<string, View>();
  box.after(note);
  for (;;) {
    try {
      const answer = await fetch('demo.json', { signal: AbortSignal.timeout(5000) });
      if (!answer.ok) throw new Error(`${answer.status}`);
      const score = (await answer.json()) as Score;
      for (const s of score.sides) {
        let view = views.get(s.stream);
        if (!view) {
          view = new View(s);
          views.set(s.stream, view);
          box.append(view.box);
        }
        view.update(s);
      }
      summary.textContent = `the same clip twice, each way through a link with the same seed: ${score.link || 'nothing is lost'} · latency ${score.latency_ms} ms for both · ${Math.round(score.seconds)} s`;
      summary.dataset.state = 'ok';
      note.replaceChildren(
        `Stalls are of a viewer who buffers ${score.buffer_ms / 1000} s and sees nothing new for more than 100 ms; the browser's own player may hide or add some. `,
        el('a', { href: score.relay }, "The relay's own page"),
      );
    } catch (e) {
      summary.textContent = `the demo does not answer (${e instanceof Error ? e.message : e})`;
      summary.dataset.state = 'bad';
    }
    await new Promise((next) => setTimeout(next, 1000));
  }
}
