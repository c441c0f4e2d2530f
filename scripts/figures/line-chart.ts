/** The drawing of `evenkeel/testing`, for the figures of the documentation. */
export * from '../../src/testing/simulator/report/line-chart.js';
