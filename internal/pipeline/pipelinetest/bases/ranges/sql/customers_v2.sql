SELECT customer_id FROM crm.customer WHERE NOT gone
