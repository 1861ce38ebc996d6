declare module 'pgpass' {
  interface Connection {
    readonly host?: string;
    readonly port?: number;
    readonly database?: string;
    readonly user?: string;
  }
  /** Looks a password up in the file that `PGPASSFILE` names, or `~/.pgpass`. */
  export default function pgpass(to: Connection, found: (password: string | undefined) => void): void;
}
