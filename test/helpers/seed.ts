/**
 * Where the random parts of tests start: with the same numbers in each run, so that a red run is red again.
 * `.ci/nightly` sets another one each night.
 */
export const SEED = Number(process.env['FOREBAY_TEST_SEED'] ?? 1);
