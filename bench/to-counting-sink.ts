import { Pool } from 'undici';

/** Bodies on their way at the same time, to the same sink: in Forebay and in its floor. */
export const BODIES_AT_ONCE = 4;

/** Posts NDJSON to the counting sink of that port; the promise rejects unless it answers 204. */
export function toCountingSink(port: number): {
  post: (body: Buffer) => Promise<void>;
  close: () => Promise<void>;
} {
  const pool = new Pool(`http://127.0.0.1:${port}`, { connections: BODIES_AT_ONCE });
  const headers = { 'content-type': 'application/x-ndjson' };
  return {
    post: async (body) => {
      const answer = await pool.request({ path: '/', method: 'POST', headers, body });
      await answer.body.dump();
      if (answer.statusCode !== 204) throw new Error(`the sink answered ${answer.statusCode}`);
    },
    close: async () => pool.close(),
  };
}
