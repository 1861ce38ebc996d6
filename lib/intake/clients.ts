import type { Reporter } from '../base/reporter.js';
import type { ClientUsage } from '../seams/client.js';
import type { EventLog } from '../seams/event-log.js';
import type { Intake } from '../seams/intake.js';
import { Accounts } from './accounts.js';
import type { Account } from './account.js';
import type { Admission, Queue } from './admission.js';
import { BacklogLedger } from './backlog-ledger.js';
import { ClientIntake } from './client-intake.js';
import { FairShares } from './fair-shares.js';
import type { ShareSettings } from './fair-shares.js';
import { LettersWatch } from './letters-watch.js';

export interface ClientsOptions extends ShareSettings {
  readonly log: EventLog;
  readonly reporter: Reporter;
}

/** What each client has of the queue, the backlog and the dead letters: see FairShares. */
export class Clients {
  readonly ledger: BacklogLedger;
  readonly #options: ClientsOptions;
  readonly #accounts = new Accounts();
  readonly #letters: LettersWatch;

  constructor(options: ClientsOptions) {
    const { log } = options;
    const accounts = this.#accounts;
    this.#options = options;
    this.#letters = new LettersWatch(log.deadLetters, accounts);
    this.ledger = new BacklogLedger({ log, accounts, letters: this.#letters });
  }

  /** Puts the rules around an intake. */
  around(inner: Intake, queue: Queue, admission: Admission): ClientIntake {
    const [accounts, ledger, letters] = [this.#accounts, this.ledger, this.#letters];
    const shares = new FairShares({ ...this.#options, queue, admission, accounts, ledger, letters });
    return new ClientIntake({ inner, log: this.#options.log, accounts, admission, shares });
  }

  get usage(): ClientUsage {
    const { queueSize, queueBytes, backlogBytesMax, deadLettersBytesMax } = this.#options;
    const most = (of: (account: Account) => number): number => Math.max(...this.#accounts.all.map(of));
    return {
      clients: this.#accounts.busy,
      largest: {
        queue: most((each) => Math.max(each.queueEvents / queueSize, each.queueBytes / queueBytes)),
        backlog: most((each) => each.backlogBytes / backlogBytesMax),
        dead_letters: most((each) => each.letterBytes / deadLettersBytesMax),
      },
    };
  }

  /** Ends timers. */
  close(): void {
    this.#letters.close();
  }
}
