/** The drawing of `evenkeel/testing`, for the figures of the documentation. */
export * from '../../src/testing/line-chart.js';
