import { connect } from 'node:tls';
import { FROM } from '../connection.js';
import type { Attack, Kind } from '../attack.js';
import { event, JSON_TYPE, post } from '../requests.js';

const HOLD_MS = 3000;
/** The start of a handshake, which promises more. */
const HALF_HELLO = Buffer.from([0x16, 3, 1, 1, 0, 1, 0, 0, 0xfc, 3, 3]);
const HANDSHAKES_AT_ONCE = 20;
const WAVE_MS = 50;

export const TLS_GARBAGE: Kind = {
  name: 'tls-garbage',
  about: '1,500 connections to a port with TLS that send plain HTTP, noise or records that are none',
  isTls: true,
  async attack(attack) {
    const noise = (): Buffer =>
      Buffer.from(Array.from({ length: attack.random.whole(1, 400) }, () => attack.random.whole(0, 255)));
    const broken = (): Buffer => {
      const bytes = Buffer.concat([HALF_HELLO, Buffer.alloc(250)]);
      for (let index = HALF_HELLO.length; index < bytes.length; index++)
        bytes[index] = attack.random.whole(0, 255);
      return bytes;
    };
    const plain = post(attack.host, event(attack.newId()), JSON_TYPE);
    const ways = [() => plain, noise, broken];
    for (let wave = 0; wave < 30 && !attack.isOver; wave++) {
      // what comes back is no HTTP, and nobody reads it
      const connections = Array.from({ length: 50 }, () => attack.connect(false));
      for (const [index, connection] of connections.entries())
        connection.send((ways[index % ways.length] ?? noise)());
      await attack.hold(WAVE_MS);
      for (const connection of connections) attack.leave(connection);
    }
  },
};

export const TLS_HALF: Kind = {
  name: 'tls-half',
  about: '1,500 connections that begin a handshake and send no more, while /health must answer',
  isTls: true,
  async attack(attack) {
    const connections = [];
    for (let index = 0; index < 1500 && !attack.isOver; index++) {
      const connection = attack.connect(false);
      connection.send(HALF_HELLO);
      connections.push(connection);
      if (index % 100 === 99) await attack.hold(10);
    }
    await attack.hold(HOLD_MS);
    for (const connection of connections) attack.leave(connection);
  },
};

export const TLS_HANDSHAKES: Kind = {
  name: 'tls-handshakes',
  about: `handshakes for ${HOLD_MS / 1000} seconds, ${HANDSHAKES_AT_ONCE} at once, over connections that are closed after them`,
  isTls: true,
  async attack(attack) {
    const endMs = performance.now() + HOLD_MS;
    const work = async (): Promise<void> => {
      while (performance.now() < endMs && !attack.isOver) await shakeHands(attack);
    };
    await Promise.all(Array.from({ length: HANDSHAKES_AT_ONCE }, work));
  },
};

async function shakeHands({ port }: Attack): Promise<void> {
  const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...FROM });
  socket.on('error', () => undefined);
  socket.once('secureConnect', () => socket.destroy());
  await new Promise((resolve) => socket.once('close', resolve));
}
