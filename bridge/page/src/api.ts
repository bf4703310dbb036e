// What the relay's API answers (bridge/api/openapi.yaml).

export interface Link {
  rtt_ms: number;
  latency_ms: number;
  received_packets: number;
  lost_packets: number;
  retransmitted_packets: number;
  repaired_packets: number;
  dropped_packets: number;
}

export interface Track {
  codec: string;
  width?: number;
  height?: number;
  frame_rate?: number;
  sample_rate?: number;
  channels?: number;
}

export interface Stutter {
  stalls_total: number;
  stall_s_per_100s: number;
  longest_ms: number;
  by_cause: Record<string, number>;
  stall_s_total: Record<string, number>;
  stalled_by?: string;
  stalled_for_ms?: number;
}

export interface Player {
  protocol: string;
  peer: string;
  since: string;
  dropped_frames_total: number;
  queued_frames: number;
  lag_ms: number;
}

export interface Advice {
  rule: string;
  text: string;
  evidence: string;
}

export interface Stream {
  name: string;
  state: 'live' | 'held';
  publisher?: { protocol: string; peer: string; since: string; link?: Link };
  tracks: Track[];
  bitrate_bps: number;
  frames_per_s: number;
  pictures_per_s?: number;
  players: number;
  outputs: number;
  stutter?: Stutter;
  target_bps?: number;
  advice?: Advice[];
}

export interface Output {
  id: string;
  stream: string;
  destination: string;
  state: string;
  last_error?: string;
  lag_ms: number;
  dropped_frames_total: number;
  stutter?: Stutter;
}

export interface Address {
  stream: string;
  use: 'publish' | 'watch';
  label: string;
  url: string;
  note?: string;
}

async function get<T>(path: string): Promise<T> {
  const answer = await fetch(path, { signal: AbortSignal.timeout(5000) });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json() as Promise<T>;
}

export const streams = async () => (await get<{ streams: Stream[] }>('v1/streams')).streams;
export const outputs = async () => (await get<{ outputs: Output[] }>('v1/outputs')).outputs;
export const players = async (name: string) => (await get<{ players: Player[] }>(`v1/streams/${name}/players`)).players;
export const addresses = async () => (await get<{ addresses: Address[] }>('v1/addresses')).addresses;

// picture is where the API serves a stream for the page itself.
export const picture = (name: string) => new URL(`v1/streams/${name}/picture.flv`, location.href).href;
