import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { onPath } from './child-program.js';
import { lowPort } from './low-port.js';

/** How the processes of a test reach each other, and how two of them can be cut off from each other. */
export interface Network {
  /** What the cuts are made with, for a report. */
  readonly kind: string;
  /** The address at which a node listens. */
  hostOf(node: string): string;
  /** `host:port` by which one node reaches a port of another one. The port listens on `hostOf(to)`. */
  address(from: string, to: string, port: number): Promise<string>;
  /** The words in front of a program that runs at a node. */
  around(node: string): readonly string[];
  /** Whether servers would connect past `address` if they knew each other's own addresses. */
  readonly hasDetours: boolean;
  /** From now on nothing passes between the two; what is sent is lost or late, and no connection is closed. */
  cut(one: string, other: string): void;
  /** Ends all cuts. */
  heal(): void;
  close(): Promise<void>;
}

/** Nodes in network namespaces where that is possible, otherwise proxies between them. */
export function openNetwork(nodes: readonly string[]): Network {
  if (onPath('ip') === null || process.getuid?.() !== 0) return new ProxyNetwork();
  try {
    return new NamespaceNetwork(nodes);
  } catch {
    return new ProxyNetwork(); // a container without the right to do so
  }
}

/** All on 127.0.0.1, with nothing between. */
export class PlainNetwork implements Network {
  readonly kind: string = 'loopback';
  readonly hasDetours: boolean = false;

  hostOf(_node: string): string {
    return '127.0.0.1';
  }

  async address(_from: string, _to: string, port: number): Promise<string> {
    return Promise.resolve(`127.0.0.1:${port}`);
  }

  around(_node: string): readonly string[] {
    return [];
  }

  cut(_one: string, _other: string): void {
    throw new Error('this network has no cuts');
  }

  heal(): void {
    // there are no cuts
  }

  async close(): Promise<void> {
    // nothing is open
  }
}

const PREFIX = 'fbt-';

/**
 * Each node is in a network namespace of its own, on a bridge where this process is as well. A cut is a route into
 * nothing at both ends: the packets are gone, and the connections know nothing of it, as with a cable.
 */
export class NamespaceNetwork implements Network {
  readonly kind = 'network namespaces';
  readonly hasDetours = false;
  readonly #subnet: string;
  readonly #nodes = new Map<string, { readonly namespace: string; readonly host: string }>();
  readonly #bridge = `fbt${process.pid}`;
  readonly #cuts: (readonly [namespace: string, host: string])[] = [];

  /** @throws if namespaces cannot be made */
  constructor(nodes: readonly string[]) {
    removeLeftovers();
    const taken = ip('-4', '-o', 'address');
    let third = process.pid % 256;
    // a range that is set aside for benchmarks of networks (RFC 2544), so no real network has it
    while (taken.includes(`198.18.${third}.`)) third = (third + 1) % 256;
    this.#subnet = `198.18.${third}`;
    try {
      ip('link', 'add', this.#bridge, 'type', 'bridge');
      ip('address', 'add', `${this.hostOf('')}/24`, 'dev', this.#bridge);
      ip('link', 'set', this.#bridge, 'up');
      for (const [index, node] of nodes.entries()) this.#add(node, index + 1);
    } catch (error) {
      this.#remove();
      throw error;
    }
  }

  /** @param node one that is not among the nodes: this process */
  hostOf(node: string): string {
    return this.#nodes.get(node)?.host ?? `${this.#subnet}.254`;
  }

  async address(_from: string, to: string, port: number): Promise<string> {
    return Promise.resolve(`${this.hostOf(to)}:${port}`);
  }

  around(node: string): readonly string[] {
    const known = this.#nodes.get(node);
    return known === undefined ? [] : ['ip', 'netns', 'exec', known.namespace];
  }

  cut(one: string, other: string): void {
    for (const [from, to] of [
      [one, other],
      [other, one],
    ] as const) {
      const namespace = this.#nodes.get(from)?.namespace;
      if (namespace === undefined) continue; // the route of the other end is enough
      ip('-n', namespace, 'route', 'add', 'blackhole', this.hostOf(to));
      this.#cuts.push([namespace, this.hostOf(to)]);
    }
  }

  heal(): void {
    for (const [namespace, host] of this.#cuts.splice(0))
      ip('-n', namespace, 'route', 'del', 'blackhole', host);
  }

  async close(): Promise<void> {
    this.#remove();
    return Promise.resolve();
  }

  #add(node: string, index: number): void {
    const [namespace, host] = [`${PREFIX}${process.pid}-${index}`, `${this.#subnet}.${index}`];
    ip('netns', 'add', namespace);
    this.#nodes.set(node, { namespace, host });
    const outer = `${this.#bridge}-${index}`;
    ip('link', 'add', outer, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', namespace);
    ip('link', 'set', outer, 'master', this.#bridge, 'up');
    ip('-n', namespace, 'address', 'add', `${host}/24`, 'dev', 'eth0');
    for (const device of ['eth0', 'lo']) ip('-n', namespace, 'link', 'set', device, 'up');
  }

  #remove(): void {
    for (const { namespace } of this.#nodes.values()) quietly('netns', 'del', namespace);
    quietly('link', 'del', this.#bridge);
  }
}

/** What a run left that was killed itself. */
function removeLeftovers(): void {
  for (const [namespace, pid] of ip('netns', 'list').matchAll(new RegExp(`^${PREFIX}(\\d+)-\\d+`, 'gm'))) {
    if (pid === undefined || isAlive(Number(pid))) continue;
    quietly('netns', 'del', namespace);
    quietly('link', 'del', `fbt${pid}`);
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

function ip(...words: readonly string[]): string {
  return execFileSync('ip', words, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

function quietly(...words: readonly string[]): void {
  try {
    ip(...words);
  } catch {
    // it is gone
  }
}

/** Between each two nodes that talk to each other is a proxy, which can hold what it should pass on. */
export class ProxyNetwork extends PlainNetwork {
  override readonly kind = 'proxies';
  override readonly hasDetours = true;
  readonly #proxies = new Map<string, HoldingProxy>();

  override async address(from: string, to: string, port: number): Promise<string> {
    const name = `${from} ${to} ${port}`;
    const known = this.#proxies.get(name);
    const proxy = known ?? (await HoldingProxy.open(from, to, port));
    this.#proxies.set(name, proxy);
    return `127.0.0.1:${proxy.port}`;
  }

  override cut(one: string, other: string): void {
    for (const proxy of this.#proxies.values()) if (proxy.isBetween(one, other)) proxy.hold();
  }

  override heal(): void {
    for (const proxy of this.#proxies.values()) proxy.goOn();
  }

  override async close(): Promise<void> {
    await Promise.all([...this.#proxies.values()].map(async (proxy) => proxy.close()));
  }
}

class HoldingProxy {
  readonly port: number;
  readonly #from: string;
  readonly #to: string;
  readonly #toPort: number;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #waiting = new Set<Socket>();
  #holds = false;

  static async open(from: string, to: string, toPort: number): Promise<HoldingProxy> {
    const proxy = new HoldingProxy(from, to, toPort, await lowPort());
    await once(proxy.#server, 'listening');
    return proxy;
  }

  private constructor(from: string, to: string, toPort: number, port: number) {
    this.port = port;
    this.#from = from;
    this.#to = to;
    this.#toPort = toPort;
    this.#server = createServer((socket) => {
      this.#know(socket);
      if (this.#holds) this.#waiting.add(socket);
      else this.#join(socket);
    }).listen(port, '127.0.0.1');
  }

  isBetween(one: string, other: string): boolean {
    return (this.#from === one && this.#to === other) || (this.#from === other && this.#to === one);
  }

  hold(): void {
    this.#holds = true;
    for (const socket of this.#sockets) {
      socket.unpipe();
      socket.pause();
    }
  }

  goOn(): void {
    if (!this.#holds) return;
    this.#holds = false;
    for (const socket of this.#sockets) this.#pass(socket);
    for (const socket of this.#waiting) this.#join(socket);
    this.#waiting.clear();
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  readonly #others = new WeakMap<Socket, Socket>();

  #join(socket: Socket): void {
    const other = connect(this.#toPort, '127.0.0.1');
    this.#know(other);
    this.#others.set(socket, other);
    this.#others.set(other, socket);
    for (const each of [socket, other]) this.#pass(each);
  }

  #pass(socket: Socket): void {
    const other = this.#others.get(socket);
    if (other === undefined) return;
    if (other.destroyed) socket.destroy();
    else socket.pipe(other);
  }

  #know(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.#sockets.delete(socket);
      this.#waiting.delete(socket);
      // while it holds, the other end learns nothing
      if (!this.#holds) this.#others.get(socket)?.destroy();
    });
  }
}
