/** The worker of the sets. */
import { serve } from 'evenkeel/isolation';

serve((message) => message);
